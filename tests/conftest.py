"""Small nets and tasks that several tests share."""

import math
import os
import shutil

import pytest
from small_nets import build_net, build_task, randomize

import keras_tinytrain as ktt
from keras_tinytrain.arena import Arena
from keras_tinytrain.budget import LayerCost, LayerCosts
from keras_tinytrain.device_graph import DeviceOp, Graph


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
        costs, ops, size = [], [], (int(rng.integers(1, 30)), 1, 2)
        graph_input = size
        for i in range(layers):
            channels = int(rng.integers(1, most + 1))
            weights = int(rng.integers(1, 10)) * channels
            depthwise = i + 1 < layers and bool(rng.integers(2))
            shape = int(rng.integers(1, 30)), 1, channels
            costs.append(
                LayerCost(
                    name=f"layer{i}",
                    channels=channels,
                    weights=weights,
                    biases=channels * int(rng.integers(2)),
                    macs=weights * int(rng.integers(1, 20)),
                    input_bytes=4 * math.prod(size),
                    output_bytes=4 * math.prod(shape),
                    per_channel_input=depthwise,
                )
            )
            ops.append(
                DeviceOp(
                    f"layer{i}",
                    "depthwise_conv2d" if depthwise else "conv2d",
                    (i,),
                    i + 1,
                    shape,
                    activation=str(rng.choice(["none", "relu"])),
                    layer=f"layer{i}",
                )
            )
            size = shape
        graph = Graph(graph_input, tuple(ops), "", False, sources=())
        names = [cost.name for cost in costs]
        head = rng.choice(["linear", "prototype"])
        device = Arena(graph, names, head=head, way=2)
        model = rng.choice(["paper", "arena"])
        peak = max(c.input_bytes + c.output_bytes for c in costs)
        device = device if model == "arena" else None
        costs = LayerCosts(tuple(costs), peak, model, device)
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
