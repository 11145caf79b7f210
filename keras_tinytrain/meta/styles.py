"""Styles that bring photographs nearer to signs, characters and sketches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

# Of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)
# Strokes are where the edge is stronger than the mean by so many standard
# deviations, and so sharp.
_STROKE, _SHARPNESS = 0.8, 4.0


def apply_style(
    images: tf.Tensor, seed: tf.Tensor, styles: Mapping[str, float]
) -> tf.Tensor:
    """Turns all images into one style, or leaves them as they are.

    Args:
        images: `(n, height, width, 3)` floats from 0 to 255.
        seed: `(2,)` integers.
        styles: Probability of each style of `recipe.STYLES`.

    Returns:
        Images of the same shape and range.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    draw = tf.random.stateless_uniform([], seeds[0])
    bounds = tf.cumsum(list(styles.values()))
    chosen = tf.reduce_sum(tf.cast(draw >= bounds, tf.int32))
    branches: list[Callable] = [
        lambda name=name: _BY_NAME[name](images, seeds[1]) for name in styles
    ]
    return tf.switch_case(chosen, [*branches, lambda: images])


def luma(images: tf.Tensor) -> tf.Tensor:
    """Returns the brightness of each pixel, `(n, height, width, 1)`."""
    return tf.reduce_sum(images * _LUMA, axis=-1, keepdims=True)


def invert(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Makes negatives."""
    del seed
    return 255.0 - images


def grey(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Takes the colours away."""
    del seed
    return tf.repeat(luma(images), 3, axis=-1)


def edges(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws edges white on black, the strongest of each image fully white."""
    del seed
    strength = _edge_strength(images)
    most = tf.reduce_max(strength, axis=(1, 2, 3), keepdims=True)
    return tf.repeat(255.0 * tf.math.divide_no_nan(strength, most), 3, axis=-1)


def sketch(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws strokes of one strength, light on dark or dark on light."""
    smooth = tf.nn.avg_pool2d(luma(images), 3, 1, "SAME")
    strength = _edge_strength(smooth)
    mean, variance = tf.nn.moments(strength, axes=(1, 2, 3), keepdims=True)
    spread = tf.sqrt(variance) + 1e-3
    above = (strength - mean) / spread - _STROKE
    strokes = 255.0 * tf.sigmoid(_SHARPNESS * above)
    dark = tf.random.stateless_uniform([], seed) < 0.5
    strokes = tf.where(dark, 255.0 - strokes, strokes)
    return tf.repeat(strokes, 3, axis=-1)


def false_colours(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mixes the channels of each image by random weights of any sign."""
    count = tf.shape(images)[0]
    mix = tf.random.stateless_normal([count, 3, 3], seed)
    mix = tf.math.l2_normalize(mix, axis=1)
    pixels = tf.reshape(images - 127.5, [count, -1, 3])
    mixed = tf.reshape(tf.matmul(pixels, mix) + 127.5, tf.shape(images))
    return tf.clip_by_value(mixed, 0.0, 255.0)


def _edge_strength(images: tf.Tensor) -> tf.Tensor:
    """Returns the length of the gradient, `(n, height, width, 1)`."""
    if images.shape[-1] != 1:
        images = luma(images)
    slopes = tf.image.sobel_edges(images)
    return tf.sqrt(tf.reduce_sum(slopes**2, axis=-1))


_BY_NAME = {
    "invert": invert,
    "grey": grey,
    "edges": edges,
    "sketch": sketch,
    "false_colours": false_colours,
}
