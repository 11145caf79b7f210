"""Random views of training images: crops, mirror images, colours."""

from __future__ import annotations

import math

import tensorflow as tf

from keras_tinytrain.meta.recipe import Recipe
from keras_tinytrain.meta.styles import apply_style, luma

# Proportions of a crop, width to height, before it is stretched.
RATIOS = (3 / 4, 4 / 3)


def clean_views(
    store: tf.Tensor, indices: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """Returns whole images, resized.

    Args:
        store: `(images, height, width, 3)` uint8.
        indices: `(n,)` of the images to take.
        size: `(height, width)` of the result.

    Returns:
        `(n, *size, 3)` uint8.
    """
    boxes = tf.tile([[0.0, 0.0, 1.0, 1.0]], [tf.size(indices), 1])
    return to_bytes(tf.image.crop_and_resize(store, boxes, indices, size))


def random_views(
    store: tf.Tensor,
    indices: tf.Tensor,
    seed: tf.Tensor,
    size: tuple[int, int],
    recipe: Recipe,
) -> tf.Tensor:
    """Returns random views of images, those of an episode.

    Every image gets a crop, a mirror and colours of its own; all of them get
    the same style, since the images of a task look alike.

    Args:
        store: `(images, height, width, 3)` uint8.
        indices: `(n,)` of the images to take.
        seed: `(2,)` integers; the same seed gives the same views.
        size: `(height, width)` of the result.
        recipe: How strong the changes are.

    Returns:
        `(n, *size, 3)` uint8.

    Reference:
        - [PMF](https://arxiv.org/abs/2204.07305), appendix: crops and colour
          changes as torchvision makes them, in one fixed order.
    """
    count = tf.size(indices)
    seeds = tf.unstack(tf.random.split(seed, 3))
    boxes = random_boxes(count, seeds[0], recipe)
    # One operation takes the image out of the store, crops, mirrors and
    # resizes it.
    images = tf.image.crop_and_resize(store, boxes, indices, size)
    if recipe.jitter:
        images = jitter(images, seeds[1], recipe.jitter)
    if recipe.styles:
        images = apply_style(images, seeds[2], recipe.styles)
    return to_bytes(images)


def random_boxes(
    count: tf.Tensor, seed: tf.Tensor, recipe: Recipe
) -> tf.Tensor:
    """Draws crops, as shares of height and width; the mirrored run backwards.

    Args:
        count: Number of crops.
        seed: `(2,)` integers.
        recipe: Smallest area, and how many are mirrored.

    Returns:
        `(count, 4)`: top, left, bottom, right.
    """
    draws = tf.random.stateless_uniform([5, count], seed)
    area, ratio, down, right, mirror = tf.unstack(draws)
    if recipe.crop < 1:
        area = recipe.crop + (1 - recipe.crop) * area
        low, high = (math.log(r) / 2 for r in RATIOS)
        stretch = tf.exp(low + (high - low) * ratio)
        height = tf.minimum(tf.sqrt(area) / stretch, 1.0)
        width = tf.minimum(tf.sqrt(area) * stretch, 1.0)
    else:
        height = width = tf.ones_like(area)
    top, left = down * (1 - height), right * (1 - width)
    ends = left, left + width
    flipped = mirror < recipe.flip
    start = tf.where(flipped, ends[1], ends[0])
    stop = tf.where(flipped, ends[0], ends[1])
    return tf.stack([top, start, top + height, stop], axis=-1)


def jitter(images: tf.Tensor, seed: tf.Tensor, most: float) -> tf.Tensor:
    """Changes brightness, then saturation, then contrast, of each image.

    Args:
        images: `(n, height, width, 3)` floats from 0 to 255.
        seed: `(2,)` integers.
        most: Each change is a factor from `1 - most` to `1 + most`.
    """
    draws = tf.random.stateless_uniform(
        [3, tf.shape(images)[0], 1, 1, 1], seed, 1 - most, 1 + most
    )
    brightness, saturation, contrast = tf.unstack(draws)
    images = _clip(images * brightness)
    grey = luma(images)
    images = _clip(grey + saturation * (images - grey))
    mean = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
    return _clip(mean + contrast * (images - mean))


def _clip(images: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(images, 0.0, 255.0)


def to_bytes(images: tf.Tensor) -> tf.Tensor:
    """Rounds to uint8."""
    return tf.cast(tf.round(_clip(images)), tf.uint8)
