"""Storage that fails while a checkpoint is loaded."""

import numpy as np
import pytest
from devices import boundary, make_device
from engine_library import OK, STORAGE, TOO_SMALL, WRONG_STATE

import keras_tinytrain as ktt

CHANNELS = {"expand": [1, 5], "project": [0, 3], "last": [2]}
LABELS = [0, 1, 2] * 2


@pytest.fixture
def device(engine_build, net, tmp_path):
    return make_device(engine_build, ktt.wrap(net), CHANNELS, tmp_path)


@pytest.fixture
def samples(device, task):
    return boundary(device, task.images[:6])


def learn(device, samples, steps):
    """Learns anew; returns logits of a sample."""
    engine = device.engine
    assert engine.plan(device.channels) == OK
    device.observe(samples, LABELS)
    for _ in range(steps):
        for sample, label in zip(samples, LABELS):
            assert engine.accumulate(sample, label)[0] == OK
        assert engine.update() == OK
    device.settle(samples, LABELS)
    return engine.predict(samples[0])[2]


def test_all_or_nothing_whatever_read_fails(device, samples):
    """What was learned before, or nothing that predicts, or all."""
    device.start(rate=0.05)
    engine, slots = device.engine, np.zeros(8192, np.uint8)
    saved = learn(device, samples, 3)
    assert engine.save(slots) == OK
    before = learn(device, samples, 1)
    assert np.abs(saved - before).max() > 1e-3
    kept = lost = reads = 0
    while engine.load(slots, reads) != OK:
        code, _, logits = engine.predict(samples[0])
        if code == OK:
            np.testing.assert_array_equal(logits, before)
            assert lost == 0  # Only what comes last can undo.
            kept += 1
        else:
            assert code == WRONG_STATE
            lost += 1
            assert learn(device, samples, 1).tolist() == before.tolist()
        assert engine.load(slots, reads) == STORAGE
        learn(device, samples, 1)
        reads += 1
    assert kept > 10
    assert lost > 5
    np.testing.assert_array_equal(engine.predict(samples[0])[2], saved)
    engine.marks()


def test_saving_and_loading_take_no_more_than_training(device, samples):
    """Of a net that is no toy; the regions are as large as a plan says."""
    sizes = device.start(rate=0.05)
    engine, slots = device.engine, np.zeros(8192, np.uint8)
    learn(device, samples, 1)
    assert engine.save(slots) == OK
    assert engine.load(slots) == OK
    assert engine.marks() == sizes


def test_a_slot_that_is_too_small(device, samples):
    device.start(rate=0.05)
    engine = device.engine
    before = learn(device, samples, 1)
    assert engine.save(np.zeros(128, np.uint8)) == TOO_SMALL
    requested, available, missing = engine.numbers
    assert available == 64
    assert requested - available == missing
    assert engine.save(np.zeros(2 * requested - 2, np.uint8)) == TOO_SMALL
    assert engine.save(np.zeros(2 * requested, np.uint8)) == OK
    np.testing.assert_array_equal(engine.predict(samples[0])[2], before)
