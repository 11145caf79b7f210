"""Small nets and tasks that several tests share."""

import os
import shutil

import keras
import numpy as np
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.budget import LayerCost, LayerCosts


def randomize(model, seed=0):
    """Draws all weights, and positive variances, so that nothing is plain."""
    rng = np.random.default_rng(seed)
    values = []
    for weight in model.weights:
        if weight.name in ("moving_variance", "gamma"):
            values.append(rng.uniform(0.5, 2.0, weight.shape))
        elif len(weight.shape) == 1:
            values.append(rng.normal(size=weight.shape) * 0.1)
        else:
            fan_in = np.prod(weight.shape[:-1])
            if weight.path.endswith("dw/kernel"):
                fan_in = np.prod(weight.shape[:2])
            values.append(rng.normal(size=weight.shape) * fan_in**-0.5)
    model.set_weights([v.astype("float32") for v in values])
    return model


def build_net(norm=False, seed=0, size=16):
    """A strided stem, one inverted residual, and a last convolution.

    Two tensors are live between `stem` and the addition.
    """
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(
        4, 3, strides=2, padding="same", use_bias=not norm, name="stem"
    )(image)
    if norm:
        x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    y = layers.Conv2D(8, 1, activation="relu", name="expand")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="dw")(y)
    y = layers.ReLU(name="dw_relu")(y)
    y = layers.Conv2D(4, 1, name="project")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="last")(x)
    return randomize(keras.Model(image, x, name="net"), seed)


def build_task(count=12, way=3, seed=0, size=16):
    """One noisy random picture per class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % way
    pictures = rng.normal(size=(way, size, size, 3))
    images = pictures[labels] + rng.normal(size=(count, size, size, 3))
    return ktt.Examples(images.astype("float32"), labels)


@pytest.fixture
def net():
    return build_net()


@pytest.fixture
def make_net():
    return build_net


@pytest.fixture
def task():
    return build_task()


@pytest.fixture
def make_task():
    return build_task


@pytest.fixture
def randomized():
    return randomize


@pytest.fixture
def make_plan():
    """Makes the plan of `{layer: channels}` for a wrapped model."""

    def make(model, channels, **parts):
        costs = ktt.layer_costs(model)
        return ktt.selection.make_plan(channels, costs, "test", **parts)

    return make


@pytest.fixture
def weights_of():
    """Reads the effective kernel and bias of each layer of a wrapped model."""

    def read(model):
        found = {}
        for name, layer in model.network.layers.items():
            kernel, bias = (v.numpy() for v in layer.folded())
            slices = layer.slices()
            if slices.by_input:
                kernel[..., slices.chosen, :] = slices.kernel
            else:
                kernel[..., slices.chosen] = slices.kernel
            bias[slices.biased] = slices.bias
            found[name] = kernel, bias
        return found

    return read


@pytest.fixture
def random_instance():
    """Draws the problem of a selection."""

    def draw(rng, layers=3, most=3):
        """Costs and scores of a few layers of a few channels.

        The last layer is not depthwise, so that every criterion can train one.
        """
        costs = []
        for i in range(layers):
            channels = int(rng.integers(1, most + 1))
            weights = int(rng.integers(1, 10)) * channels
            costs.append(
                LayerCost(
                    name=f"layer{i}",
                    channels=channels,
                    weights=weights,
                    biases=channels * int(rng.integers(2)),
                    macs=weights * int(rng.integers(1, 20)),
                    input_bytes=4 * channels * int(rng.integers(1, 30)),
                    output_bytes=4 * channels * int(rng.integers(1, 30)),
                    per_channel_input=i + 1 < layers and bool(rng.integers(2)),
                )
            )
        peak = max(c.input_bytes + c.output_bytes for c in costs)
        costs = LayerCosts(tuple(costs), peak, rng.choice(["paper", "arena"]))
        scores = {c.name: rng.exponential(size=c.channels) ** 2 for c in costs}
        return scores, costs

    return draw


@pytest.fixture
def candidates():
    """Lists the layers that a criterion may train."""

    def find(costs, criterion):
        every = criterion == "tinytrain"
        return [c for c in costs if every or not c.per_channel_input]

    return find


@pytest.fixture(scope="session")
def compiler():
    """Returns the C++ compiler of this machine."""
    name = os.environ.get("CXX", "g++")
    if shutil.which(name) is None:
        pytest.skip(f"needs a C++ compiler: {name} is not there, nor $CXX set")
    return name
