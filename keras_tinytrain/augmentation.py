"""Random views of support images: the pseudo-queries of adaptation."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

# Largest shift, as a share of the image.
SHIFT = 0.125
# Largest turn, in radians.
TURN = 0.3
# Largest factor of size.
SIZE = 1.35
# Largest change of brightness, as a share of the range of values, and of
# contrast and saturation, as a factor.
BRIGHTNESS = 0.14
CONTRAST = 0.4
SATURATION = 0.5


def augment(
    images: tf.Tensor, seed: tf.Tensor, low: tf.Tensor, high: tf.Tensor
) -> tf.Tensor:
    """Moves images and changes their brightness, saturation and contrast.

    Every image gets its own change. Unlike DiffAugment this turns and
    resizes too, changes colours less, and does not mirror, since characters
    and signs mean something else then. What comes in from outside repeats
    the border instead of being black.

    Args:
        images: `(n, height, width, channels)`.
        seed: `(2,)` integers; the same seed gives the same views.
        low: Smallest value that an image can hold.
        high: Largest value that an image can hold.

    Returns:
        Float images of the same shape.

    Reference:
        - [PMF](https://arxiv.org/abs/2204.07305), section 3.3.
    """
    images = tf.cast(images, tf.float32)
    draws = tf.random.stateless_uniform(
        [7, tf.shape(images)[0]], seed, -1.0, 1.0
    )
    *moves, brightness, saturation, contrast = tf.unstack(draws)
    images = _move(images, *moves)
    # All three changes of colour are one linear map of a pixel's channels.
    contrast = 1.0 + CONTRAST * contrast[:, None, None]
    saturation = 1.0 + SATURATION * saturation[:, None, None]
    depth = images.shape[-1]
    keep = tf.eye(depth) * saturation
    grey = tf.ones([depth, depth]) / depth * (1.0 - saturation)
    mean = tf.reduce_mean(images, axis=(1, 2, 3))[:, None, None]
    change = BRIGHTNESS * brightness[:, None, None] * (high - low)
    offset = (1.0 - contrast) * mean + change
    shape = tf.shape(images)
    pixels = tf.reshape(images, [shape[0], -1, depth])
    pixels = tf.matmul(pixels, contrast * (keep + grey)) + offset
    return tf.reshape(tf.clip_by_value(pixels, low, high), shape)


def _move(images, right, down, turn, size) -> tf.Tensor:
    """Shifts, turns and resizes each image by its share of the most."""
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    angle, scale = TURN * turn, tf.exp(tf.math.log(SIZE) * size)
    cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
    # Where a pixel of the view reads, seen from the middle of the image.
    x, y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    x_start = x - cos * x + sin * y + SHIFT * right * width
    y_start = y - sin * x - cos * y + SHIFT * down * height
    zero = tf.zeros_like(cos)
    rows = [cos, -sin, x_start, sin, cos, y_start, zero, zero]
    return keras.ops.image.affine_transform(
        images,
        tf.stack(rows, axis=-1),
        fill_mode="nearest",
        data_format="channels_last",
    )


def value_range(images: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the smallest and largest value that such images can hold.

    For bytes these are 0 and 255, else the extremes of the images at hand.
    """
    if images.dtype == np.uint8:
        return tf.constant(0.0), tf.constant(255.0)
    return tf.constant(images.min(), tf.float32), tf.constant(
        images.max(), tf.float32
    )
