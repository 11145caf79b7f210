"""Learning from a stream: what is stored, forgotten and left in the model."""

import keras
import numpy as np
import pytest
from small_nets import build_net, build_task

import keras_tinytrain as ktt
from keras_tinytrain.lifelong import LifelongLearner
from keras_tinytrain.reservoir import Reservoir
from keras_tinytrain.selection import make_plan

TRAINED = {"dw": [0, 3, 5], "last": [1, 2]}


@pytest.fixture(scope="module")
def task():
    return build_task(count=24, way=4)


@pytest.fixture(scope="module")
def source(task):
    """A plain int8 net."""
    return ktt.unwrap(ktt.quantize(ktt.wrap(build_net()), task.images))


def build(source, stored=10, channels=TRAINED, rate=0.01, **options):
    """A learner that keeps so many features."""
    model = ktt.wrap(source)
    model.compile(ktt.QASOptimizer(keras.optimizers.SGD(rate)))
    plan = make_plan(channels, ktt.layer_costs(model), "test")
    reservoir = Reservoir(stored) if stored else None
    return LifelongLearner(model, plan, reservoir=reservoir, **options)


def watch(learner, task, order):
    """Learns images in an order; returns the losses."""
    features = learner.read(task.images)
    return [learner.observe(features[i], task.labels[i]) for i in order]


def test_stored_is_the_smallest_tensor_in_front_as_a_device_stores_it(
    source, task
):
    """The block's input, before it is widened, not what `dw` reads."""
    learner = build(source)
    features = learner.read(task.images)
    assert features.shape == (24, 8, 8, 4)
    assert features.dtype == np.int8
    stem = keras.Model(source.input, source.get_layer("stem").output)
    zero_point = source.get_layer("stem").quantization.zero_point
    expected = stem.predict(task.images, verbose=0) + zero_point
    np.testing.assert_array_equal(features, expected)
    assert features.std() > 10
    # As wide as any other, the input of the last layer is nearer to it.
    last = build(source, channels={"last": [0]})
    assert last.read(task.images).shape == (24, 8, 8, 4)
    assert (last.read(task.images) != features).any()


def test_the_model_has_what_was_learned(source, task):
    learner = build(source)
    watch(learner, task, range(24))
    assert learner.classes == 4
    logits = learner.predict(learner.read(task.images))
    np.testing.assert_array_equal(logits, learner.model.predict(task.images))
    after = ktt.unwrap(learner.model)
    for name in ("stem", "expand", "dw", "project", "last"):
        kernels = [
            net.get_layer(name).get_weights()[0] for net in (source, after)
        ]
        moved = kernels[0] != kernels[1]
        moved = moved.reshape(-1, 8 if name == "dw" else moved.shape[-1])
        moved = np.flatnonzero(moved.any(axis=0))
        assert set(moved) <= set(TRAINED.get(name, ()))
        assert bool(len(moved)) == (name in TRAINED)


def test_a_step_is_on_the_new_sample_and_on_the_stored(source, task):
    """Its loss is the mean cross-entropy of all of them, before the step."""
    learner = build(source, stored=5, replays=5)
    watch(learner, task, range(9))
    features = learner.read(task.images[9:10])
    every = np.concatenate([features, learner.reservoir.samples])
    labels = np.concatenate([task.labels[9:10], learner.reservoir.labels])
    logits = learner.predict(every).astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = learner.observe(features[0], task.labels[9])
    expected = -logs[np.arange(6), labels].mean()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert len(learner.reservoir) == 5


def test_a_class_begins_at_its_first_sample(source, task):
    """One class alone teaches nothing; a third one leaves the others."""
    learner = build(source, stored=0, rate=0.0)
    features = learner.read(task.images)
    assert learner.observe(features[0], 0) is None
    np.testing.assert_allclose(learner.predict(features[:1]), 10.0, rtol=1e-5)
    learner.observe(features[1], 1)
    before = learner.predict(features)
    learner.observe(features[2], 2)
    after = learner.predict(features)
    np.testing.assert_allclose(after[:, :2], before, rtol=1e-5)
    assert after[2].argmax() == 2
    assert after[2, 2] == pytest.approx(10.0)


def test_optimizers_go_on_when_a_class_comes(source, task):
    learner = build(source, stored=0)
    learner.model.compile(ktt.QASOptimizer(keras.optimizers.SGD(0.01, 0.9)))
    learner = LifelongLearner(learner.model, learner.model.plan)
    watch(learner, task, [0, 1, 0, 1, 0])
    optimizer = learner._trainer.optimizer
    momentum = optimizer.inner.momentums[0].numpy()
    assert momentum.any()
    learner._add_class(learner.read(task.images[2:3]))
    np.testing.assert_array_equal(
        optimizer.inner.momentums[0].numpy(), momentum
    )


def test_the_reservoir_is_what_keeps_old_classes(source, task):
    """Two classes, then a long burst of a third one."""
    old = np.flatnonzero(task.labels < 2)
    order = [*np.tile(old, 3), *[2, 6, 10] * 20]
    accuracy = {}
    for stored in (0, 12):
        learner = build(source, stored=stored, rate=0.03)
        watch(learner, task, order)
        logits = learner.predict(learner.read(task.images[old]))
        hits = logits.argmax(axis=-1) == task.labels[old]
        accuracy[stored] = hits.mean()
    assert accuracy[12] == 1.0
    assert accuracy[0] < 0.8


def test_the_same_stream_leaves_the_same_bits(source, task):
    losses, weights = [], []
    for _ in range(2):
        learner = build(source)
        losses.append(watch(learner, task, range(24)))
        weights.append(learner.model.get_weights())
    assert losses[0] == losses[1]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_task_starts_afresh(source, task):
    learner = build(source)
    first = watch(learner, task, range(24))
    again = LifelongLearner(
        learner.model, learner.model.plan, reservoir=Reservoir(10)
    )
    assert again.classes == 0
    assert watch(again, task, range(24)) == first


def used_reservoir():
    reservoir = Reservoir(2)
    reservoir.add(np.zeros(1, np.int8), 0)
    return reservoir


def test_a_stream_that_diverges_leaves_the_model(source, task):
    learner = build(source, stored=0, rate=1e38)
    features = learner.read(task.images)
    learner.observe(features[0], 0)
    before = learner.model.get_weights()
    with pytest.raises(ValueError, match="Expected finite weights"):
        learner.observe(features[1], 1)
    for old, new in zip(before, learner.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(np.isfinite(weight).all() for weight in before)


def test_what_cannot_be_learned_is_refused(source, task):
    learner = build(source)
    feature = learner.read(task.images[:1])[0]
    for label in (-1, 1):
        with pytest.raises(ValueError, match=r"the next one, 0, below"):
            learner.observe(feature, label)
    full = build(source, max_way=2)
    watch(full, task, [0, 1])
    with pytest.raises(ValueError, match="below max_way=2"):
        full.observe(feature, 2)
    for wrong in (task.images[0], feature.astype(np.float32), feature[:1]):
        with pytest.raises(ValueError, match=r"Expected a feature"):
            learner.observe(wrong, 0)
    with pytest.raises(ValueError, match="Expected an empty reservoir"):
        LifelongLearner(
            learner.model, learner.model.plan, reservoir=used_reservoir()
        )
    with pytest.raises(ValueError, match="a plan of 0 layers"):
        build(source, channels={})
    plan = learner.model.plan
    with pytest.raises(ValueError, match="head='prototype'"):
        LifelongLearner(ktt.wrap(source, head="prototype"), plan)
    with pytest.raises(ValueError, match="Expected an int8 model"):
        LifelongLearner(ktt.wrap(build_net()), plan)
