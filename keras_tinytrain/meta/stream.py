"""Episodes ready to be learned, made while the step before them runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

from keras_tinytrain.meta.tasks import PHOTOGRAPHS, Tasks
from keras_tinytrain.meta.views import clean_views

# Episodes that wait, ready; at 128 px one of 100 images is 5 MB.
_AHEAD = 3


class Batch(NamedTuple):
    """The images of an episode, support first.

    Attributes:
        images: `(n, height, width, 3)` uint8.
        labels: `(n,)` int32, from 0 to way - 1.
        classes: `(n,)` int32, the classes in the source, -1 for none.
        support: How many of the images are support.
        photographs: Whether the classes are those of the source.
        weight: What the episode counts: 1, or 0 where a replica has none.
    """

    images: tf.Tensor
    labels: tf.Tensor
    classes: tf.Tensor
    support: tf.Tensor
    photographs: tf.Tensor
    weight: tf.Tensor


def stream(
    tasks: Tasks,
    numbers: Iterable[tuple[int, float]],
    size: tuple[int, int],
    *,
    augment: bool,
) -> tf.data.Dataset:
    """Makes the episodes of some numbers, in order.

    All that is random follows from the seed of the recipe and the number of
    the episode, so that a stream can begin anywhere.

    Args:
        tasks: Which tasks there are.
        numbers: Numbers of episodes, and what each counts.
        size: `(height, width)` of the images.
        augment: Whether to make random views, or whole images.

    Returns:
        A dataset of `Batch`.
    """

    def draw():
        for number, weight in numbers:
            yield number, *tasks.draw(number), weight

    def view(number, kind, positions, labels, classes, support, weight):
        if augment:
            seed = tf.constant(tasks.recipe.seed, tf.int64), number
            images = tasks.views(kind, positions, tf.stack(seed), size)
        else:
            images = clean_views(tasks.source.images, positions, size)
        return Batch(
            images, labels, classes, support, kind == PHOTOGRAPHS, weight
        )

    many = tf.TensorSpec([None], tf.int32)
    one = tf.TensorSpec([], tf.int32)
    with tf.device("CPU:0"):
        drawn = tf.data.Dataset.from_generator(
            draw,
            output_signature=(
                tf.TensorSpec([], tf.int64),
                one,
                many,
                many,
                many,
                one,
                tf.TensorSpec([], tf.float32),
            ),
        )
        episodes = drawn.map(view, num_parallel_calls=tf.data.AUTOTUNE)
        return episodes.prefetch(_AHEAD)
