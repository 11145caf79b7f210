"""Fisher potentials of the device are those of Keras."""

import numpy as np
import pytest
from devices import boundary, make_device
from engine_library import OK
from random_nets import random_net

import keras_tinytrain as ktt
from keras_tinytrain.examples import Examples


def score(device, samples, labels):
    """Returns the scores by layer, after one pass to observe, one to score."""
    engine = device.engine
    assert engine.init(*engine.scoring_bytes()) == OK
    assert engine.status("engine_begin_scoring") == OK
    device.observe(samples, labels)
    for sample, label in zip(samples, labels):
        assert engine.score(sample, label) == OK
    assert engine.end_scoring() == OK
    candidates = [layer for layer in device.blob.layers if layer["flags"] & 1]
    sizes = [layer["channels"] for layer in candidates]
    parts = np.split(engine.scores(), np.cumsum(sizes)[:-1])
    return {layer["name"]: p for layer, p in zip(candidates, parts)}


def check_same(actual, expected):
    largest = max(values.max() for values in expected.values())
    assert largest > 0
    for name, values in actual.items():
        np.testing.assert_allclose(
            values, expected[name], rtol=2e-3, atol=1e-6 * largest
        )


@pytest.mark.parametrize("seed", range(8))
def test_random_nets(engine_build, randomized, tmp_path, seed):
    """All layers, by output or by input, whatever is smaller."""
    rng = np.random.default_rng(200 + seed)
    model = ktt.wrap(randomized(random_net(rng), seed))
    shape = 7, *model.network.input_shape[1:]
    images = rng.normal(size=shape).astype("float32")
    task = Examples(images, np.arange(7) % 3)
    expected = ktt.channel_fisher(model, task)
    device = make_device(
        engine_build, model, {}, tmp_path, criterion="tinytrain"
    )
    actual = score(device, boundary(device, images), task.labels)
    assert list(actual) == list(expected)
    check_same(actual, expected)


def test_a_tail_after_another_plan(engine_build, net, task, tmp_path):
    """Scores are those of the blob's weights, whatever has been trained."""
    model = ktt.wrap(net)
    channels = {"project": np.array([0, 3]), "last": np.array([2, 5])}
    device = make_device(engine_build, model, channels, tmp_path)
    samples = boundary(device, task.images)
    first = score(device, samples, task.labels)
    # The default criterion has no depthwise candidates.
    assert list(first) == ["project", "last"]
    expected = ktt.channel_fisher(model, task, first="project")
    check_same(first, expected)
    engine = device.engine
    sizes = zip(engine.scoring_bytes(), engine.training_bytes(device.counts))
    assert engine.init(*map(max, sizes), rate=0.1) == OK
    assert engine.plan(device.channels) == OK
    device.observe(samples, task.labels)
    assert engine.accumulate(samples[0], 1)[0] == OK
    assert engine.update() == OK
    again = score(device, samples, task.labels)
    for name, values in first.items():
        np.testing.assert_array_equal(again[name], values)


def test_class_vectors_outlast_the_scores(engine_build, net, task, tmp_path):
    model = ktt.wrap(net)
    channels = {"last": np.array([0, 4])}
    device = make_device(engine_build, model, channels, tmp_path)
    samples = boundary(device, task.images)
    device.start(rate=0.1)
    device.observe(samples, task.labels)
    expected = device.engine.predict(samples[0])[2]
    engine = device.engine
    sizes = zip(engine.scoring_bytes(), engine.training_bytes(device.counts))
    assert engine.init(*map(max, sizes), rate=0.1) == OK
    assert engine.status("engine_begin_scoring") == OK
    device.observe(samples, task.labels)
    assert engine.score(samples[0], 0) == OK
    assert engine.end_scoring() == OK
    assert engine.plan(device.channels) == OK
    np.testing.assert_array_equal(engine.predict(samples[0])[2], expected)
