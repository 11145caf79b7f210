"""Draws small nets of everything that the device knows."""

import keras
from keras import layers


def random_net(rng):
    """Returns a net with shortcuts, branches and pooling, as it happens."""
    size = int(rng.integers(6, 13)), int(rng.integers(6, 13))
    image = x = keras.Input((*size, int(rng.integers(1, 4))))
    if rng.integers(3) == 0:
        x = layers.Rescaling(0.5, 0.1)(x)
    x = _convolution(rng, x, int(rng.integers(2, 7)))
    for _ in range(int(rng.integers(1, 5))):
        x = _PARTS[rng.integers(len(_PARTS))](rng, x)
    if rng.integers(3) == 0:
        x = layers.Flatten()(x) if rng.integers(2) else _pooled(x)
        x = layers.Dense(int(rng.integers(3, 8)), activation="relu")(x)
        x = layers.Dense(int(rng.integers(3, 8)))(x)
    elif rng.integers(2):
        x = _pooled(x)
    return keras.Model(image, x, name="random")


def _pooled(x):
    return layers.GlobalAveragePooling2D()(x)


def _activation(rng):
    return rng.choice(["linear", "relu", "relu6"])


def _convolution(rng, x, channels, stride=None):
    kernel = int(rng.choice([1, 1, 2, 3, 5]))
    kernel = min(kernel, *x.shape[1:3])
    stride = stride or int(rng.choice([1, 1, 2, 3]))
    padding = rng.choice(["same", "valid", "explicit"])
    if padding == "explicit":
        if kernel > 1:
            x = layers.ZeroPadding2D(((0, 1), (1, 0)))(x)
        padding = "valid"
    return layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding=padding,
        activation=_activation(rng),
        use_bias=bool(rng.integers(4)),
    )(x)


def _depthwise(rng, x, stride=1):
    return layers.DepthwiseConv2D(
        int(rng.choice([3, 5])),
        strides=stride,
        padding="same",
        activation=_activation(rng),
        use_bias=bool(rng.integers(2)),
    )(x)


def _pointwise(rng, x, channels, activation=None):
    activation = activation or _activation(rng)
    return layers.Conv2D(channels, 1, activation=activation)(x)


def _plain(rng, x):
    return _convolution(rng, x, int(rng.integers(2, 8)))


def _inverted_residual(rng, x):
    channels = x.shape[-1]
    y = _pointwise(rng, x, 2 * channels, "relu6")
    y = _depthwise(rng, y)
    last = "linear" if rng.integers(3) else "relu"
    y = _pointwise(rng, y, channels, last)
    x = layers.Add()([x, y] if rng.integers(2) else [y, x])
    return layers.ReLU()(x) if rng.integers(3) == 0 else x


def _branches(rng, x):
    channels = int(rng.integers(2, 6))
    y = _pointwise(rng, x, channels)
    z = _depthwise(rng, x)
    z = _pointwise(rng, z, channels)
    parts = [y, z]
    if rng.integers(2):
        parts.append(_pointwise(rng, y, channels))
    return layers.Add()(parts)


def _activated_sum(rng, x):
    """A sum that reads what another operation reads clamped."""
    y = layers.ReLU(6.0)(x)
    return layers.Add()([x, y])


def _twice(rng, x):
    x = _pointwise(rng, x, int(rng.integers(2, 6)))
    return layers.Add()([x, x])


def _strided(rng, x):
    return _pointwise(rng, _depthwise(rng, x, stride=2), 5)


def _pool(rng, x):
    kind = layers.MaxPooling2D if rng.integers(2) else layers.AveragePooling2D
    if min(x.shape[1:3]) < 2:
        return x
    return kind(2, strides=int(rng.integers(1, 3)), padding="same")(x)


_PARTS = (
    _plain,
    _inverted_residual,
    _inverted_residual,
    _branches,
    _activated_sum,
    _twice,
    _strided,
    _pool,
)
