"""Small nets of all layers that int8 graphs know."""

import keras
from keras import layers
from small_nets import randomize


def build_mixed(seed=0):
    """Explicit padding, a ReLU that stands alone, three summands, pooling."""
    image = keras.Input((18, 14, 3), name="image")
    x = layers.Rescaling(1 / 4, -0.1, name="rescaling")(image)
    x = layers.ZeroPadding2D(((1, 2), (0, 1)), name="pad")(x)
    x = layers.Conv2D(6, (5, 3), strides=(2, 1), name="stem")(x)
    a = layers.BatchNormalization(name="stem_bn")(x)
    b = layers.ReLU(name="alone")(a)
    c = layers.DepthwiseConv2D(
        5, padding="same", activation="relu6", name="dw"
    )(b)
    x = layers.Add(name="three")([a, b, c])
    x = layers.ReLU(6.0, name="three_relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="max")(x)
    x = layers.AveragePooling2D((3, 2), strides=2, padding="same", name="mean")(
        x
    )
    x = layers.DepthwiseConv2D(
        3, strides=2, padding="same", use_bias=False, name="dw2"
    )(x)
    x = layers.Dense(5, activation="relu", name="pointwise")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    x = layers.Dense(4, name="dense")(x)
    return randomize(keras.Model(image, x, name="mixed"), seed)


def build_pooled(seed=0):
    """A global pool in the middle, and a wide layer behind."""
    image = keras.Input((9, 9, 2), name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(image)
    y = layers.Conv2D(8, 1, name="linear")(x)
    x = layers.Add(name="add")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(600, activation="relu6", name="wide")(x)
    x = layers.Dense(3, name="narrow")(x)
    return randomize(keras.Model(image, x, name="pooled"), seed)
