"""Random turns, changes of size, shifts and shears of images."""

from __future__ import annotations

import tensorflow as tf

# Most radians of a turn, range of sizes, most shift and shear as shares.
_TURN, _SIZES, _SHIFT, _SHEAR = 0.35, (0.75, 1.3), 0.12, 0.15


def warp(
    images: tf.Tensor, seed: tf.Tensor, size: tuple[int, int], fill: str
) -> tf.Tensor:
    """Warps each image in its own way and resizes it, in one operation.

    Args:
        images: `(n, height, width, channels)`.
        seed: `(2,)` integers.
        size: `(height, width)` of the result.
        fill: What lies outside: `"REFLECT"` the image again, `"CONSTANT"`
            zeros.

    Returns:
        `(n, *size, channels)` float32.
    """
    count = tf.shape(images)[0]
    draws = tf.random.stateless_uniform([6, count], seed, -1.0, 1.0)
    turn, wide, high, right, down, shear = tf.unstack(draws)
    turn, shear = turn * _TURN, shear * _SHEAR
    low, span = tf.math.log(_SIZES[0]), tf.math.log(_SIZES[1] / _SIZES[0])
    # Wide and high are nearly the same: objects grow more than they stretch.
    grown = low + span * (wide + 1) / 2
    zoom = tf.exp(-grown)
    stretch = tf.exp(0.1 * high)
    cosine, sine = tf.cos(turn), tf.sin(turn)
    scale = [images.shape[2] / size[1], images.shape[1] / size[0]]
    # From a place in the result, seen from its middle, to one in the image.
    a = zoom * stretch * cosine * scale[0]
    b = zoom * (shear * cosine - sine) * scale[0]
    c = zoom * stretch * sine * scale[1]
    d = zoom * (shear * sine + cosine) * scale[1]
    middle = (size[1] - 1) / 2, (size[0] - 1) / 2
    x = (images.shape[2] - 1) / 2 + right * _SHIFT * images.shape[2]
    y = (images.shape[1] - 1) / 2 + down * _SHIFT * images.shape[1]
    none = tf.zeros_like(a)
    transforms = [
        *(a, b, x - a * middle[0] - b * middle[1]),
        *(c, d, y - c * middle[0] - d * middle[1]),
        *(none, none),
    ]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack(transforms, axis=1),
        output_shape=size,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=fill,
    )
