"""A small net with what the laws need, and tasks for it."""

import keras
import numpy as np
from keras import layers

import keras_tinytrain as ktt


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
