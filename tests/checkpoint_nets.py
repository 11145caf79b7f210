"""A net with every kind of layer that a checkpoint has to know."""

import keras
from keras import layers

import keras_tinytrain as ktt


def build(head="linear", seed=0):
    """Wraps a small net of all kinds of layers."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(image)
    y = layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, name="depthwise"
    )(x)
    y = layers.Conv2D(4, 1, use_bias=False, name="project")(y)
    y = layers.BatchNormalization(name="norm")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.Conv2D(3, (2, 1), activation="relu", name="last")(x)
    x = layers.Dense(5, name="dense")(layers.Flatten()(x))
    return ktt.wrap(keras.Model(image, x, name="net"), head=head)
