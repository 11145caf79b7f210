"""Evens out how images of a class differ, in the last layer of a net."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.heads import pool
from keras_tinytrain.meta.stream import Batch

# Share of a round spread in the measured one, which holds back directions
# that hardly vary: there the measurement is the least certain.
SHRINKAGE = 0.3


def check_whitening(features: keras.Model) -> None:
    """Refuses a net whose last layer cannot take the matrix up.

    Raises:
        ValueError: If it is no convolution or dense layer with an activation
            of its own that is linear.
    """
    last = features.layers[-1]
    kinds = keras.layers.Conv2D, keras.layers.Dense
    fits = type(last) in kinds and last.activation is keras.activations.linear
    if not fits or not last.trainable or last.output is not features.output:
        raise ValueError(
            "Expected a net that ends in a Conv2D or Dense layer, without "
            "activation and trainable, or whitening=0. Received: "
            f"{last.name!r} ({type(last).__name__})"
        )


def whiten(features: keras.Model, tasks: Iterable[Batch]) -> None:
    """Lets images of a class differ alike in all directions.

    What makes images of one class differ, light or pose, weighs in a cosine
    as much as what makes classes differ. With the covariance `S` of pooled
    features about the means of their classes, the last layer is followed by

        A = (0.7 S + 0.3 mean(diagonal of S) I) ** -1/2,

    scaled so that its kernel keeps its length. The kernel and the bias take
    `A` up, so the net has the layers that it had.

    Args:
        features: The net without its pooling, as `check_whitening` wants it.
        tasks: Images with labels, each task with its own.

    Reference:
        - [Within-class covariance normalization](
          https://www.isca-archive.org/interspeech_2006/hatch06_interspeech.html)
    """
    embed = tf.function(
        lambda images: pool(features(tf.cast(images, tf.float32))),
        reduce_retracing=True,
    )
    spreads = [
        within_classes(embed(task.images).numpy(), task.labels.numpy())
        for task in tasks
    ]
    last = features.layers[-1]
    kernel, *biases = last.get_weights()
    matrix = whitening_matrix(np.mean(spreads, axis=0))
    whitened = kernel @ matrix
    scale = np.linalg.norm(kernel) / np.linalg.norm(whitened)
    last.set_weights([scale * whitened, *(scale * b @ matrix for b in biases)])


def within_classes(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the covariance of embeddings about the means of their classes.

    Args:
        embeddings: `(n, depth)`.
        labels: `(n,)` integers.

    Returns:
        `(depth, depth)`.
    """
    centred = embeddings.astype(np.float64)
    for label in np.unique(labels):
        rows = labels == label
        centred[rows] -= centred[rows].mean(axis=0)
    return centred.T @ centred / len(labels)


def whitening_matrix(spread: np.ndarray) -> np.ndarray:
    """Returns the inverse square root of a covariance, shrunk.

    Args:
        spread: `(depth, depth)`, symmetric.

    Returns:
        `(depth, depth)`, symmetric, the nearest to the identity of all the
        matrices that whiten.

    Raises:
        ValueError: If there is no spread at all.
    """
    mean = np.trace(spread) / len(spread)
    if not mean > 0:
        raise ValueError(
            "Expected embeddings of a class that differ, to whiten them. "
            f"Received: a mean variance of {mean}"
        )
    round_spread = SHRINKAGE * mean * np.eye(len(spread))
    variances, axes = np.linalg.eigh((1 - SHRINKAGE) * spread + round_spread)
    return (axes * variances**-0.5) @ axes.T
