"""Fisher potential: how much a task asks of each channel."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_tinytrain.examples import Examples, check_examples
from keras_tinytrain.heads import prototypes
from keras_tinytrain.window import Features, Window


def channel_fisher(
    model,
    support: Examples,
    *,
    first: str | None = None,
    batch_size: int = 64,
) -> dict[str, np.ndarray]:
    """Scores every output channel by the task's gradient through it.

    `Delta_o = 1 / (2 N) * sum_n (sum_d a_nd g_nd) ** 2` for channel o, over
    the N support examples and the positions d; a is the output of the layer
    in front of its activation and g the gradient of the summed loss. The
    loss is the cross-entropy against the class means of the support
    embeddings, held fixed, so that an example's gradient is its own. Scores
    are those of the wrapped weights, where a new plan begins, whatever has
    been trained since.

    Args:
        model: A wrapped model.
        support: The task's labelled images.
        first: Name of the first layer to score; all layers when None. Layers
            below cost nothing.
        batch_size: Examples at a time; the scores do not depend on it.

    Returns:
        Scores `(channels,)` by layer, in network order.

    Raises:
        ValueError: If the support set cannot be learned from, or `first` is
            no layer.

    Reference:
        - [TinyTrain](https://arxiv.org/abs/2307.09988), section 2.2.
        - [BlockSwap](https://arxiv.org/abs/1906.04113), section 3.
    """
    check_examples(support, channels=model.network.input_shape[-1])
    window = model.window(first)
    features = window.prefix(support.images)
    return score_features(window, features, support.labels, batch_size)


def score_features(
    window: Window, features: Features, labels: np.ndarray, batch_size: int
) -> dict[str, np.ndarray]:
    """Scores the channels of a window from its boundary tensors."""
    labels = tf.constant(labels, tf.int32)
    embeddings = window.embed(features, *window.untrained())
    class_vectors = prototypes(embeddings, labels, int(max(labels)) + 1)
    total = 0.0
    for i in range(0, len(labels), batch_size):
        rows = slice(i, i + batch_size)
        some = tuple(tensor[rows] for tensor in features)
        part = window.gate_gradients(some, labels[rows], class_vectors)
        total += np.square(part, dtype=np.float64).sum(axis=0)
    scores = total / (2 * len(labels))
    sizes = [layer.size for layer in window.layers.values()]
    parts = np.split(scores, np.cumsum(sizes)[:-1])
    return dict(zip(window.layers, parts))
