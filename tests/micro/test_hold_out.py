"""A training that makes held-out samples worse is undone."""

import numpy as np
import pytest
from devices import boundary, make_device, random_channels
from engine_library import (
    ADAM,
    BAD_ARGUMENT,
    MOMENTUM,
    NOT_FINITE,
    OK,
    SGD,
    WORSE,
    WRONG_STATE,
)
from test_engine_training import images_of
from test_int8_engine import int8_of

import keras_tinytrain as ktt

CHANNELS = {"expand": [1, 5], "project": [0, 3], "last": [2]}
LABELS = [0, 1, 2] * 2
RIGHT, WRONG = LABELS, [1, 2, 0] * 2
# Rates that learn either in three steps.
RATES = {
    ADAM: {"rate": 0.02},
    SGD: {"rate": 0.05},
    MOMENTUM: {"rate": 0.05, "momentum": 0.5},
}


def learn(device, samples, labels, steps=3):
    """Trains; returns the losses."""
    losses = []
    for _ in range(steps):
        found = [
            device.engine.accumulate(*pair) for pair in zip(samples, labels)
        ]
        assert [code for code, _ in found] == [OK] * len(found)
        losses += [loss for _, loss in found]
        assert device.engine.update() == OK
    return losses


def hold_out(device, samples, count=6):
    codes = [
        device.engine.hold_out(*pair) for pair in zip(samples, LABELS[:count])
    ]
    assert codes == [OK] * count


def logits(device, samples):
    found = [device.engine.predict(sample) for sample in samples]
    assert [code for code, *_ in found] == [OK] * len(found)
    return np.stack([logits for *_, logits in found])


@pytest.fixture
def device(engine_build, net, tmp_path):
    return make_device(engine_build, ktt.wrap(net), CHANNELS, tmp_path)


@pytest.fixture
def samples(device, task):
    return boundary(device, task.images[:6])


def check(device, samples, settles, **rates):
    """Learns what is wrong, which is undone, then what is right."""
    device.start(**rates)
    device.observe(samples, LABELS)
    before, start = logits(device, samples), device.engine.trained()
    for labels, verdict in ((WRONG, WORSE), (RIGHT, OK)):
        hold_out(device, samples)
        losses = learn(device, samples, labels)
        if settles:
            device.settle(samples, labels)
        learned = logits(device, samples)
        assert np.abs(learned - before).max() > 1e-3
        hold_out(device, samples)
        assert device.engine.judge() == verdict
        if verdict == OK:
            np.testing.assert_array_equal(logits(device, samples), learned)
            continue
        assert device.engine.predict(samples[0])[0] == WRONG_STATE
        device.observe(samples, LABELS)
        np.testing.assert_array_equal(logits(device, samples), before)
        np.testing.assert_array_equal(device.engine.trained(), start)
        # Nothing of it is left in moments or rate either.
        assert learn(device, samples, labels) == losses
        assert device.engine.plan(device.channels) == OK
        device.observe(samples, LABELS)


@pytest.mark.parametrize("settles", [False, True])
@pytest.mark.parametrize("head", ["linear", "prototype"])
@pytest.mark.parametrize("optimizer", RATES)
def test_what_makes_it_worse_is_undone(
    engine_build, net, task, tmp_path, optimizer, head, settles
):
    model = ktt.wrap(net, head=head)
    device = make_device(
        engine_build, model, CHANNELS, tmp_path, optimizer=optimizer
    )
    samples = boundary(device, task.images[:6])
    check(device, samples, settles, **RATES[optimizer])


@pytest.mark.parametrize("optimizer", RATES)
def test_the_same_in_int8(engine_build, tmp_path, optimizer):
    model = int8_of("residual")
    channels = random_channels(
        np.random.default_rng(1), ktt.layer_costs(model), share=0.8
    )
    device = make_device(
        engine_build, model, channels, tmp_path, optimizer=optimizer
    )
    samples = boundary(device, images_of(model, 6))
    rates = RATES[optimizer]
    check(device, samples, False, **rates | {"rate": rates["rate"] / 10})


def test_a_step_too_long_is_undone(device, samples):
    """Every number is finite, and the labels are right."""
    device.start(rate=3.0)
    device.observe(samples, LABELS)
    before = logits(device, samples)
    hold_out(device, samples)
    learn(device, samples, RIGHT)
    hold_out(device, samples)
    assert device.engine.judge() == WORSE
    device.observe(samples, LABELS)
    np.testing.assert_array_equal(logits(device, samples), before)


def test_the_rule_finds_its_rate_again(device, samples):
    device.start()
    device.observe(samples, LABELS)
    hold_out(device, samples)
    learn(device, samples, WRONG)
    found = device.engine.call("engine_rate")
    hold_out(device, samples)
    assert device.engine.judge() == WORSE
    assert device.engine.call("engine_rate") != found
    device.observe(samples, LABELS)
    learn(device, samples, WRONG)
    assert device.engine.call("engine_rate") == found


def test_holding_out_changes_nothing(device, samples):
    device.start(rate=0.02)
    device.observe(samples, LABELS)
    expected = learn(device, samples, RIGHT)
    assert device.engine.plan(device.channels) == OK
    device.observe(samples, LABELS)
    hold_out(device, samples)
    found = []
    for _ in range(3):
        found += learn(device, samples, RIGHT, steps=1)
        hold_out(device, samples)
    assert found == expected
    assert device.engine.judge() == OK


def test_numbers_that_overflow_afterwards_are_the_worst(device, samples):
    """So they are, without any training, of a sample that is too large."""
    device.start(rate=0.02)
    device.observe(samples, LABELS)
    large = np.full_like(samples[0], 3e38)
    assert device.engine.hold_out(large, 0) == NOT_FINITE
    hold_out(device, samples, 1)
    learn(device, samples, RIGHT)
    assert device.engine.hold_out(large, 0) == OK
    assert device.engine.judge() == WORSE


def test_out_of_turn(device, samples):
    engine, sample = device.engine, samples[0]
    sizes = map(
        max, engine.scoring_bytes(), engine.training_bytes(device.counts)
    )
    sizes = list(sizes)
    assert engine.init(*sizes, rate=0.02) == OK
    assert engine.hold_out(sample, 0) == WRONG_STATE
    assert engine.status("engine_begin_scoring") == OK
    assert engine.observe(sample, 0) == OK
    assert engine.hold_out(sample, 0) == WRONG_STATE
    assert engine.plan(device.channels) == OK
    device.observe(samples, LABELS)
    assert engine.judge() == WRONG_STATE
    assert engine.hold_out(sample, 3) == BAD_ARGUMENT
    assert engine.hold_out(sample * np.nan, 0) == BAD_ARGUMENT
    hold_out(device, samples, 2)
    assert engine.judge() == WRONG_STATE
    learn(device, samples, RIGHT)
    # As many before as after.
    hold_out(device, samples, 1)
    assert engine.judge() == WRONG_STATE
    hold_out(device, samples, 1)
    assert engine.judge() == OK
    # Another step, and the same again.
    learn(device, samples, RIGHT, steps=1)
    assert engine.judge() == WRONG_STATE
    hold_out(device, samples, 2)
    assert engine.judge() == OK
    assert engine.revisit(sample, 0) == OK
    assert engine.hold_out(sample, 0) == WRONG_STATE
    assert engine.settle() == OK
    assert engine.judge() == WRONG_STATE
    hold_out(device, samples, 2)
    # What was held out belongs to one plan, and to what was observed.
    assert engine.init(*sizes, rate=0.02) == OK
    assert engine.judge() == WRONG_STATE
    assert engine.plan(device.channels) == OK
    device.observe(samples, LABELS)
    hold_out(device, samples, 1)
    device.observe(samples, LABELS)
    hold_out(device, samples, 2)
    learn(device, samples, RIGHT)
    hold_out(device, samples, 2)
    assert engine.judge() == OK
