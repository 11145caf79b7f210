"""The classifier on top of the embeddings: cosine to a vector per class.

The `"prototype"` head takes as class vectors the class means of the support
embeddings. The `"linear"` head starts from them and trains them too, and its
embeddings also say where in the image something is.
"""

from __future__ import annotations

import tensorflow as tf

# Factor of the cosine similarity in the logits (PMF, models/protonet.py).
SCALE = 10.0


def pool(features: tf.Tensor) -> tf.Tensor:
    """Averages feature maps over their positions: embeddings `(n, depth)`."""
    if features.shape.rank > 2:
        axes = list(range(1, features.shape.rank - 1))
        return tf.reduce_mean(features, axis=axes)
    return features


def pyramid(features: tf.Tensor) -> tf.Tensor:
    """Averages feature maps over the whole and over its four quarters.

    Both levels have length one, so that they count alike in a cosine. The
    rows and columns in the middle of an odd number belong to both sides.

    Args:
        features: `(n, height, width, depth)`, or `(n, depth)`, which stays
            as it is.

    Returns:
        Embeddings `(n, 5 * depth)`.

    Reference:
        - [Spatial pyramid pooling](https://arxiv.org/abs/1406.4729)
    """
    if features.shape.rank != 4:
        return pool(features)
    half = [(size + 1) // 2 for size in tf.unstack(tf.shape(features)[1:3])]
    quarters = [
        pool(part)
        for rows in (features[:, : half[0]], features[:, -half[0] :])
        for part in (rows[:, :, : half[1]], rows[:, :, -half[1] :])
    ]
    levels = [pool(features), tf.concat(quarters, axis=-1)]
    levels = [tf.math.l2_normalize(level, axis=-1) for level in levels]
    return tf.concat(levels, axis=-1)


# How each head makes embeddings of feature maps.
HEADS = {"prototype": pool, "linear": pyramid}


def prototypes(
    embeddings: tf.Tensor, labels: tf.Tensor, way: int | tf.Tensor
) -> tf.Tensor:
    """Averages the embeddings of each class.

    Args:
        embeddings: `(n, depth)`.
        labels: `(n,)` integers below `way`.
        way: Number of classes.

    Returns:
        `(way, depth)`; zeros for a class without example.

    Reference:
        - [Prototypical networks](https://arxiv.org/abs/1703.05175)
    """
    count = tf.math.bincount(labels, minlength=way, dtype=embeddings.dtype)
    total = tf.math.unsorted_segment_sum(embeddings, labels, way)
    return tf.math.divide_no_nan(total, count[:, None])


def cosine_logits(
    embeddings: tf.Tensor,
    class_vectors: tf.Tensor,
    scale: float | tf.Tensor = SCALE,
) -> tf.Tensor:
    """Compares embeddings with class vectors.

    Args:
        embeddings: `(n, depth)`.
        class_vectors: `(way, depth)`.
        scale: What the cosine is multiplied by.

    Returns:
        `(n, way)`, `scale` times the cosine of the angle between them.

    Reference:
        - [PMF](https://arxiv.org/abs/2204.07305), section 3.
    """
    embeddings = tf.math.l2_normalize(embeddings, axis=-1)
    class_vectors = tf.math.l2_normalize(class_vectors, axis=-1)
    return scale * tf.matmul(embeddings, class_vectors, transpose_b=True)


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the softmax cross-entropy of each example, `(n,)`."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def entropy(logits: tf.Tensor) -> tf.Tensor:
    """Returns the Shannon entropy of each softmax, `(n,)`, in nats.

    It is 0 for a prediction that is certain and `ln(way)` for a guess.

    Args:
        logits: `(n, way)`.
    """
    logs = tf.nn.log_softmax(logits)
    return -tf.reduce_sum(tf.exp(logs) * logs, axis=-1)


def accuracy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the share of examples whose largest logit is their label's."""
    hits = tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels
    return tf.reduce_mean(tf.cast(hits, tf.float32))
