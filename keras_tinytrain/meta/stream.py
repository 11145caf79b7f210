"""Episodes ready to be learned, made while the step before them runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

from keras_tinytrain.meta.recipe import Recipe
from keras_tinytrain.meta.source import Source
from keras_tinytrain.meta.views import clean_views, random_views

# Episodes that wait, ready; at 128 px one of 100 images is 5 MB.
_AHEAD = 3


class Batch(NamedTuple):
    """The images of an episode, support first.

    Attributes:
        images: `(n, height, width, 3)` uint8.
        labels: `(n,)` int32, from 0 to way - 1.
        classes: `(n,)` int32, the classes in the source.
        support: How many of the images are support.
        weight: What the episode counts: 1, or 0 where a replica has none.
    """

    images: tf.Tensor
    labels: tf.Tensor
    classes: tf.Tensor
    support: tf.Tensor
    weight: tf.Tensor


def stream(
    source: Source,
    recipe: Recipe,
    numbers: Iterable[tuple[int, float]],
    size: tuple[int, int],
    *,
    augment: bool,
) -> tf.data.Dataset:
    """Makes the episodes of some numbers, in order.

    All that is random follows from the seed of the recipe and the number of
    the episode, so that a stream can begin anywhere.

    Args:
        source: The images.
        recipe: How to draw and to augment.
        numbers: Numbers of episodes, and what each counts.
        size: `(height, width)` of the images.
        augment: Whether to make random views, or whole images.

    Returns:
        A dataset of `Batch`.
    """

    def draw():
        for number, weight in numbers:
            yield number, *source.draw(number, recipe), weight

    def view(number, positions, labels, classes, support, weight):
        if augment:
            seed = tf.stack([tf.constant(recipe.seed, tf.int64), number])
            images = random_views(source.images, positions, seed, size, recipe)
        else:
            images = clean_views(source.images, positions, size)
        return Batch(images, labels, classes, support, weight)

    many = tf.TensorSpec([None], tf.int32)
    one = tf.TensorSpec([], tf.int32)
    with tf.device("CPU:0"):
        drawn = tf.data.Dataset.from_generator(
            draw,
            output_signature=(
                tf.TensorSpec([], tf.int64),
                many,
                many,
                many,
                one,
                tf.TensorSpec([], tf.float32),
            ),
        )
        episodes = drawn.map(view, num_parallel_calls=tf.data.AUTOTUNE)
        return episodes.prefetch(_AHEAD)
