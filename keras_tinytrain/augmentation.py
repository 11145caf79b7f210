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
    shape = tf.shape(images)
    count, height, width = shape[0], shape[1], shape[2]
    draws = tf.random.stateless_uniform([5, count], seed, -1.0, 1.0)
    one, zero = tf.ones(count), tf.zeros(count)
    # Output (x, y) is read from input (x + right, y + down).
    right = draws[0] * SHIFT * tf.cast(width, tf.float32)
    down = draws[1] * SHIFT * tf.cast(height, tf.float32)
    images = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(
            [one, zero, right, zero, one, down, zero, zero], axis=1
        ),
        output_shape=tf.stack([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    brightness, saturation, contrast = (
        draws[i][:, None, None, None] for i in (2, 3, 4)
    )
    images += BRIGHTNESS * brightness * (high - low)
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    images = grey + (images - grey) * (1.0 + saturation)
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    images = mean + (images - mean) * (1.0 + 0.5 * contrast)
    return tf.clip_by_value(images, low, high)


def value_range(images: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the smallest and largest value that such images can hold.

    For bytes these are 0 and 255, else the extremes of the images at hand.
    """
    if images.dtype == np.uint8:
        return tf.constant(0.0), tf.constant(255.0)
    return tf.constant(images.min(), tf.float32), tf.constant(
        images.max(), tf.float32
    )
