"""Random views of support images: the pseudo-queries of adaptation."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# Largest shift, as a share of the image.
SHIFT = 0.125
# Largest change of brightness, as a share of the range of values.
BRIGHTNESS = 0.14


def augment(
    images: tf.Tensor, seed: tf.Tensor, low: tf.Tensor, high: tf.Tensor
) -> tf.Tensor:
    """Shifts images and changes their brightness, saturation and contrast.

    Every image gets its own change. Unlike DiffAugment, whose strengths
    these are, images are not mirrored, since characters and signs mean
    something else then, and a shift repeats the border instead of showing
    black.

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
        [5, tf.shape(images)[0]], seed, -1.0, 1.0
    )
    right, down, brightness, saturation, contrast = tf.unstack(draws)
    images = _shift(images, SHIFT * right, SHIFT * down)
    # All three changes of colour are one linear map of a pixel's channels.
    contrast = 1.0 + 0.5 * contrast[:, None, None]
    saturation = 1.0 + saturation[:, None, None]
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


def _shift(images: tf.Tensor, right: tf.Tensor, down: tf.Tensor) -> tf.Tensor:
    """Reads each image from so many widths right and heights down."""
    count, height, width, depth = tf.unstack(tf.shape(images))
    rows = _places(height, down)[:, :, None]
    columns = _places(width, right)[:, None, :]
    places = tf.reshape(rows * width + columns, [count, -1])
    pixels = tf.reshape(images, [count, -1, images.shape[-1]])
    pixels = tf.gather(pixels, places, batch_dims=1)
    return tf.reshape(pixels, tf.stack([count, height, width, depth]))


def _places(size: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Numbers the rows of a shifted image, the border repeated."""
    by = tf.cast(tf.round(share * tf.cast(size, tf.float32)), tf.int32)
    return tf.clip_by_value(tf.range(size) + by[:, None], 0, size - 1)


def value_range(images: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the smallest and largest value that such images can hold.

    For bytes these are 0 and 255, else the extremes of the images at hand.
    """
    if images.dtype == np.uint8:
        return tf.constant(0.0), tf.constant(255.0)
    return tf.constant(images.min(), tf.float32), tf.constant(
        images.max(), tf.float32
    )
