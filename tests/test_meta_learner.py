"""Loss, gradient and steps against TensorFlow's and Keras' own."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from meta_sources import build_net, build_source

from keras_tinytrain.heads import pyramid
from keras_tinytrain.meta import Recipe
from keras_tinytrain.meta.learner import Learner
from keras_tinytrain.meta.replicas import Replicas
from keras_tinytrain.meta.source import Source
from keras_tinytrain.meta.stream import Batch, stream
from keras_tinytrain.meta.tasks import Tasks

RECIPE = Recipe(way=3, shot=2, query=3, crop=0.5)


@pytest.fixture(scope="module")
def batch():
    numbers = iter([(0, 1.0)])
    source = Source(build_source())
    tasks = Tasks(source, RECIPE)
    (episode,) = stream(tasks, numbers, (16, 16), augment=True)
    return episode


def plain_loss(net, batch, scale=10.0, embed=None):
    """The episode's cross-entropy, class by class and image by image."""
    embeddings = net(tf.cast(batch.images, tf.float32), training=False)
    embeddings = embed(embeddings) if embed else embeddings
    support = int(batch.support)
    labels = batch.labels.numpy()
    means = [
        sum(embeddings[i] for i in range(support) if labels[i] == c)
        / float(np.sum(labels[:support] == c))
        for c in range(3)
    ]
    losses = []
    for i in range(support, len(labels)):
        x = embeddings[i]
        cosines = [
            tf.tensordot(x, m, 1) / (tf.norm(x) * tf.norm(m)) for m in means
        ]
        logits = scale * tf.stack(cosines)
        losses.append(tf.reduce_logsumexp(logits) - logits[labels[i]])
    return tf.reduce_mean(tf.stack(losses))


def differentiate(learner, batch):
    values = learner.start().values
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss, accuracy = learner.loss(values, batch)
    return loss, accuracy, tape.gradient(loss, values)


def test_the_gradient_is_that_of_the_net(batch):
    net = build_net()
    loss, accuracy, gradient = differentiate(Learner(net, RECIPE, 5), batch)
    scale = tf.Variable(10.0)
    variables = [*(v.value for v in net.trainable_variables), scale]
    with tf.GradientTape() as tape:
        expected = plain_loss(net, batch, scale)
    parts = tape.gradient(expected, variables)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    flat = np.concatenate([np.ravel(part) for part in parts])
    np.testing.assert_allclose(gradient, flat, rtol=1e-3, atol=1e-6)
    assert 0 <= float(accuracy) <= 1


def test_a_departure_from_the_start_costs(batch):
    """None at the start; then one minus the cosine, of photographs alone."""
    net, recipe = build_net(), dataclasses.replace(RECIPE, distillation=3.0)
    learner, plain = Learner(net, recipe, 5), Learner(net, RECIPE, 5)
    start = learner.start()
    images = tf.cast(batch.images, tf.float32)
    before = tf.math.l2_normalize(net(images), axis=-1)
    same = [x.loss(start.values, batch)[0] for x in (learner, plain)]
    assert float(same[0]) == pytest.approx(float(same[1]), rel=1e-6)

    moved = start.values + 0.05 * tf.random.stateless_normal(
        start.values.shape, [1, 2]
    )
    loss, other = (float(x.loss(moved, batch)[0]) for x in (learner, plain))
    drawn = batch._replace(photographs=tf.constant(False))
    assert float(learner.loss(moved, drawn)[0]) == other
    learner.finish(start._replace(values=moved))
    after = tf.math.l2_normalize(net(images), axis=-1)
    departure = 1 - np.sum(before * after, axis=-1).mean()
    assert departure > 1e-3
    assert loss - other == pytest.approx(3.0 * departure, rel=1e-3)


def test_what_is_frozen_stays(batch):
    """A frozen layer, and the statistics of a normalization."""
    net = build_net()
    net.get_layer("stem").trainable = False
    before = {w.path: w.numpy() for w in net.weights}
    learner = Learner(net, RECIPE, 5)
    state = learner.start()
    _, _, gradient = differentiate(learner, batch)
    learner.finish(learner.update(state, gradient, 0.1))
    changed = {p for p, v in before.items() if np.any(v != net_value(net, p))}
    assert changed == {"norm/gamma", "norm/beta", "last/kernel", "last/bias"}


def net_value(net, path):
    (value,) = [w.numpy() for w in net.weights if w.path == path]
    return value


def test_start_and_finish_change_no_bit():
    net = build_net()
    before = net.get_weights()
    learner = Learner(net, Recipe(classification=0.5), 5)
    state = learner.start()
    assert learner.scale(state) == 10.0
    learner.finish(state)
    for old, new in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("pooled", [True, False])
def test_the_linear_head_sees_quarters(batch, pooled):
    """Of the map in front of a last pooling, or of the output itself."""
    net = build_net(pooled=pooled)
    recipe = Recipe(way=3, shot=2, query=3, head="linear")
    loss, _ = Learner(net, recipe, 5).loss(
        Learner(net, recipe, 5).start().values, batch
    )
    features = build_net(pooled=False)
    features.set_weights(net.get_weights())
    expected = plain_loss(features, batch, embed=pyramid)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_classification_is_a_share_of_the_loss(batch):
    """Two thirds of one, one third of the other."""
    net = build_net()

    def loss(share):
        learner = Learner(net, Recipe(classification=share), 5)
        return float(learner.loss(learner.start().values, batch)[0])

    assert loss(1 / 3) == pytest.approx(loss(0) * 2 / 3 + loss(1) / 3)
    assert loss(1) != pytest.approx(loss(0))


def test_classification_alone_learns_the_classes(batch):
    learner = Learner(
        build_net(),
        Recipe(classification=1.0, optimizer="adam", learning_rate=0.01),
        5,
    )
    state, losses = learner.start(), []
    for _ in range(30):
        with tf.GradientTape() as tape:
            tape.watch(state.values)
            loss, _ = learner.loss(state.values, batch)
        gradient = tape.gradient(loss, state.values)
        state = learner.update(state, gradient, 0.01)
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sgd", lambda: keras.optimizers.SGD(0.1, momentum=0.9)),
        ("adam", lambda: keras.optimizers.Adam(0.1)),
    ],
)
def test_steps_are_those_of_keras(name, theirs):
    learner = Learner(build_net(), Recipe(optimizer=name), 5)
    state, optimizer = learner.start(), theirs()
    variable = keras.Variable(state.values)
    rng = np.random.default_rng(0)
    for step in range(4):
        gradient = tf.constant(rng.normal(size=learner.size), tf.float32)
        optimizer.apply([gradient], [variable])
        state = learner.update(state, gradient, 0.1)
        assert state.step == step + 1
        np.testing.assert_allclose(
            state.values, variable.value, rtol=1e-3, atol=1e-4
        )


def test_weight_and_name_are_part_of_the_fingerprint():
    def fingerprint(net):
        return Learner(net, RECIPE, 5).fingerprint

    known = fingerprint(build_net())
    assert fingerprint(build_net()) == known
    assert fingerprint(build_net(seed=1)) != known
    assert fingerprint(build_net(pooled=False)) == known
    frozen = build_net()
    frozen.get_layer("stem").trainable = False
    assert fingerprint(frozen) != known


def frozen_net():
    net = build_net()
    net.trainable = False
    return net


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.Sequential([keras.Input((4, 4, 1))]), "(height, width"),
        (frozen_net, "'tiny' with none; set `trainable`"),
        (lambda: keras.layers.Dense(3), "Received: Dense"),
    ],
)
def test_nets_that_cannot_learn_are_refused(make, message):
    with pytest.raises(ValueError, match="Expected a") as error:
        Learner(make(), RECIPE, 5)
    assert message in str(error.value)


def test_a_replica_without_an_episode_adds_nothing(batch):
    empty = Batch(*batch[:-1], tf.constant(0.0))
    learner = Learner(build_net(), RECIPE, 5)
    replicas = Replicas(learner, tf.distribute.get_strategy())
    values = learner.start().values
    feed = iter([batch, empty])
    both = replicas.train(values, lambda: next(feed), 2)
    one = replicas.train(values, lambda: batch, 1)
    np.testing.assert_allclose(2 * both.gradient, one.gradient, rtol=1e-6)
    assert 2 * both.loss == pytest.approx(one.loss)
