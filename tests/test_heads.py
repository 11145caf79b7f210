import math

import numpy as np
import pytest
import tensorflow as tf

from keras_tinytrain import heads


def test_prototypes_are_the_class_means():
    embeddings = tf.constant([[0.0, 2.0], [4.0, 0.0], [2.0, 2.0]])
    means = heads.prototypes(embeddings, tf.constant([0, 1, 0]), 3)
    assert means.numpy().tolist() == [[1.0, 2.0], [4.0, 0.0], [0.0, 0.0]]


def test_prototypes_carry_gradient():
    embeddings = tf.constant([[0.0, 2.0], [4.0, 0.0], [2.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        means = heads.prototypes(embeddings, tf.constant([0, 1, 0]), 2)
        loss = tf.reduce_sum(means)
    gradient = tape.gradient(loss, embeddings).numpy()
    assert gradient.tolist() == [[0.5, 0.5], [1.0, 1.0], [0.5, 0.5]]


def test_cosine_logits_by_hand():
    """(3, 4) and (1, 0): cosine 0.6; (3, 4) and (-8, 6): 0."""
    logits = heads.cosine_logits(
        tf.constant([[3.0, 4.0], [30.0, 40.0]]),
        tf.constant([[1.0, 0.0], [-8.0, 6.0], [3.0, 4.0]]),
    )
    np.testing.assert_allclose(logits, [[6, 0, 10]] * 2, atol=1e-5)


def test_entropy_by_hand():
    """A guess among four, one of two, a certain one; shares 1/4 and 3/4."""
    low = -1e4
    logits = tf.constant(
        [
            [2.0, 2.0, 2.0, 2.0],
            [5.0, low, 5.0, low],
            [low, 0.0, low, low],
            [0.0, math.log(3.0), low, low],
        ]
    )
    mixed = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    np.testing.assert_allclose(
        heads.entropy(logits),
        [math.log(4), math.log(2), 0.0, mixed],
        atol=1e-6,
    )


def test_cosine_of_nothing_is_finite():
    embeddings = tf.zeros((1, 2))
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        logits = heads.cosine_logits(embeddings, tf.ones((3, 2)))
    assert logits.numpy().tolist() == [[0.0, 0.0, 0.0]]
    assert np.isfinite(tape.gradient(logits, embeddings)).all()


def test_cross_entropy_by_hand():
    logits = tf.constant([[0.0, math.log(3.0)], [0.0, 0.0]])
    losses = heads.cross_entropy(tf.constant([1, 0]), logits)
    expected = [math.log(4 / 3), math.log(2)]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_accuracy_by_hand():
    logits = tf.constant([[1.0, 2.0], [3.0, 2.0], [0.0, 1.0], [5.0, 4.0]])
    assert heads.accuracy(tf.constant([1, 0, 0, 1]), logits) == 0.5


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 3), [[0, 1, 2], [3, 4, 5]]), ((1, 2, 2, 2), [[3, 4]])],
)
def test_pool_averages_positions(shape, expected):
    features = tf.reshape(tf.range(math.prod(shape), dtype=tf.float32), shape)
    assert heads.pool(features).numpy().tolist() == expected


def test_pyramid_by_hand():
    """Channel means of a 2 x 3 map; the middle column is in both halves."""
    features = np.zeros((1, 2, 3, 1), "float32")
    features[0, :, :, 0] = [[1, 3, 5], [0, 4, 2]]
    quarters = np.array([2.0, 4.0, 2.0, 3.0])
    expected = [1.0, *quarters / np.linalg.norm(quarters)]
    found = heads.pyramid(tf.constant(features))
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_pyramid_levels_weigh_alike():
    features = tf.random.stateless_normal((3, 4, 5, 6), (0, 1))
    found = heads.pyramid(features).numpy()
    assert found.shape == (3, 30)
    for level in (found[:, :6], found[:, 6:]):
        np.testing.assert_allclose(np.linalg.norm(level, axis=1), 1, 1e-6)
    mean = heads.pool(features).numpy()
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(found[:, :6], mean, rtol=1e-5)
    assert heads.pyramid(features[:, 0, 0]).shape == (3, 6)
