"""What the engine refuses, and that nothing changes then."""

import numpy as np
import pytest
from devices import boundary, make_device
from engine_library import (
    ADAM,
    BAD_ARGUMENT,
    IN_PLACE,
    MOMENTUM,
    NOT_FINITE,
    OK,
    SGD,
    WRONG_STATE,
)
from test_engine_training import images_of
from test_int8_engine import int8_of

import keras_tinytrain as ktt

CHANNELS = {"expand": [1, 5], "project": [0, 3], "last": [2]}


@pytest.fixture
def device(engine_build, net, tmp_path):
    return make_device(engine_build, ktt.wrap(net), CHANNELS, tmp_path)


@pytest.fixture
def samples(device, task):
    return boundary(device, task.images[:6])


def snapshot(device):
    return [region.bytes.copy() for region in device.engine.regions[:1]]


def unchanged(device, before):
    for region, old in zip(device.engine.regions, before):
        np.testing.assert_array_equal(region.bytes, old)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite(device, samples, value):
    engine = device.engine
    device.start(rate=0.1)
    device.observe(samples, [0, 1, 2] * 2)
    assert engine.predict(samples[0])[0] == OK
    bad = samples[0].copy()
    bad[-1, -1, -1] = value
    before = snapshot(device)
    assert engine.observe(bad, 0) == BAD_ARGUMENT
    assert engine.accumulate(bad, 0)[0] == BAD_ARGUMENT
    assert engine.predict(bad)[0] == BAD_ARGUMENT
    unchanged(device, before)
    assert engine.accumulate(samples[0], 0)[0] == OK


@pytest.mark.parametrize("label", [3, 4, 2**32 - 1])
def test_a_label_out_of_range(device, samples, label):
    engine = device.engine
    device.start(rate=0.1)
    device.observe(samples, [0, 1, 2] * 2)
    before = snapshot(device)
    assert engine.observe(samples[0], label) == BAD_ARGUMENT
    assert engine.accumulate(samples[0], label)[0] == BAD_ARGUMENT
    unchanged(device, before)


def test_calls_out_of_turn(device, samples):
    engine, sample = device.engine, samples[0]
    assert engine.plan(device.channels) == WRONG_STATE
    sizes = map(
        max, engine.scoring_bytes(), engine.training_bytes(device.counts)
    )
    assert engine.init(*sizes, rate=0.1) == OK
    # Neither planned nor scoring.
    assert engine.observe(sample, 0) == WRONG_STATE
    assert engine.score(sample, 0) == WRONG_STATE
    assert engine.end_scoring() == WRONG_STATE
    assert engine.accumulate(sample, 0)[0] == WRONG_STATE
    assert engine.update() == WRONG_STATE
    assert engine.predict(sample)[0] == WRONG_STATE
    assert engine.marks() == (0, 0)
    # Scoring: first observe, then score, then end.
    assert engine.status("engine_begin_scoring") == OK
    assert engine.score(sample, 0) == WRONG_STATE
    assert engine.observe(sample, 0) == OK
    assert engine.end_scoring() == WRONG_STATE
    assert engine.score(sample, 0) == OK
    assert engine.observe(sample, 0) == WRONG_STATE
    assert engine.accumulate(sample, 0)[0] == WRONG_STATE
    assert engine.call("engine_scores") is None
    assert engine.end_scoring() == OK
    assert engine.call("engine_scores") is not None
    assert engine.score(sample, 0) == WRONG_STATE
    # Training: first observe, accumulate, then update.
    assert engine.plan(device.channels) == OK
    assert engine.call("engine_scores") is None
    assert engine.score(sample, 0) == WRONG_STATE
    assert engine.update() == WRONG_STATE
    assert engine.accumulate(sample, 0)[0] == OK
    assert engine.observe(sample, 0) == WRONG_STATE
    assert engine.update() == OK
    assert engine.update() == WRONG_STATE
    # Settling: between two steps, then revisit, then settle.
    assert engine.settle() == WRONG_STATE
    assert engine.accumulate(sample, 0)[0] == OK
    assert engine.revisit(sample, 0) == WRONG_STATE
    assert engine.update() == OK
    assert engine.revisit(sample, 0) == OK
    assert engine.accumulate(sample, 0)[0] == WRONG_STATE
    assert engine.update() == WRONG_STATE
    assert engine.predict(sample)[0] == WRONG_STATE
    assert engine.settle() == OK
    assert engine.settle() == WRONG_STATE
    assert engine.revisit(sample, 0) == WRONG_STATE
    assert engine.accumulate(sample, 0)[0] == WRONG_STATE
    assert engine.predict(sample)[0] == OK
    # A new plan forgets the class vectors, which have been trained.
    assert engine.plan(device.channels) == OK
    assert engine.predict(sample)[0] == WRONG_STATE


@pytest.mark.parametrize(
    ("optimizer", "rates"),
    [
        (ADAM, {"rate": np.nan}),
        (ADAM, {"rate": -0.1}),
        (ADAM, {"rate": np.inf}),
        (SGD, {"rate": 0.0}),
        (MOMENTUM, {"rate": 0.0, "momentum": 0.9}),
        (MOMENTUM, {"rate": 0.1, "momentum": 1.0}),
        (MOMENTUM, {"rate": 0.1, "momentum": np.nan}),
        (IN_PLACE, {"rate": 0.0}),
        (4, {"rate": 0.1}),
    ],
)
def test_settings_that_are_none(device, optimizer, rates):
    engine = device.engine
    engine.setup = engine.setup[0], optimizer
    assert engine.init(4096, 4096, **rates) == BAD_ARGUMENT


@pytest.mark.parametrize("classes", [0, 1, 4, 65535])
def test_classes_that_the_blob_does_not_allow(device, classes):
    engine = device.engine
    engine.setup = classes, engine.setup[1]
    assert engine.init(4096, 4096, rate=0.1) == BAD_ARGUMENT


@pytest.mark.parametrize(
    "channels", [[8], [5, 1], [1, 1], [65535], list(range(9))]
)
def test_channels_that_the_layer_does_not_have(device, samples, channels):
    engine = device.engine
    device.start(rate=0.1)
    device.observe(samples, [0, 1, 2] * 2)
    before = snapshot(device)
    rows = [channels, *device.channels[1:]]
    assert device.names[0] == "expand"
    assert engine.plan(rows) == BAD_ARGUMENT
    unchanged(device, before)
    assert engine.accumulate(samples[0], 0)[0] == OK


@pytest.mark.parametrize("optimizer", [SGD, MOMENTUM])
def test_a_step_that_overflows_is_not_taken(
    engine_build, net, task, tmp_path, optimizer
):
    device = make_device(
        engine_build, ktt.wrap(net), CHANNELS, tmp_path, optimizer=optimizer
    )
    samples = boundary(device, task.images[:3])
    device.start(rate=3e38)
    device.observe(samples, [0, 1, 2])
    engine = device.engine
    assert engine.predict(samples[0])[0] == OK
    before = engine.trained()
    assert engine.accumulate(samples[0], 1)[0] == OK
    assert np.abs(engine.trained(gradient=True)).max() > 2
    assert engine.update() == NOT_FINITE
    np.testing.assert_array_equal(engine.trained(), before)
    assert not engine.trained(gradient=True).any()


@pytest.mark.parametrize("optimizer", [SGD, MOMENTUM])
def test_a_step_of_integers_that_overflows(engine_build, tmp_path, optimizer):
    model = int8_of("residual")
    channels = {ktt.layer_costs(model)[-1].name: [0, 2]}
    device = make_device(
        engine_build, model, channels, tmp_path, optimizer=optimizer
    )
    samples = boundary(device, images_of(model, 3))
    device.start(rate=3e38)
    device.observe(samples, [0, 1, 2])
    engine = device.engine
    predicted = [engine.predict(s)[2].tolist() for s in samples]
    before = engine.trained()
    assert engine.accumulate(samples[0], 1)[0] == OK
    assert engine.update() == NOT_FINITE
    np.testing.assert_array_equal(engine.trained(), before)
    assert [engine.predict(s)[2].tolist() for s in samples] == predicted


def test_a_loss_that_is_not_finite_adds_no_gradient(device, samples):
    engine = device.engine
    device.start(rate=0.1)
    device.observe(samples, [0, 1, 2] * 2)
    assert engine.accumulate(samples[0], 0)[0] == OK
    before = snapshot(device)
    large = np.full_like(samples[0], 3e38)
    code, loss = engine.accumulate(large, 0)
    assert code == NOT_FINITE
    assert np.isnan(loss)  # Not written.
    assert engine.predict(large)[0] == NOT_FINITE
    unchanged(device, before)
    assert engine.update() == OK


def test_a_gradient_too_large_for_adam_is_dropped(
    engine_build, net, task, tmp_path
):
    """The loss is finite, and so is the gradient, but not its square."""
    kernel = net.get_layer("last").weights[0]
    kernel.assign(kernel * 1e-33)
    channels = {"last": [0, 1, 2, 3, 4, 5]}
    device = make_device(engine_build, ktt.wrap(net), channels, tmp_path)
    samples = boundary(device, task.images[:3])
    engine = device.engine
    device.start(rate=0.1)
    device.observe(samples * 1e28, [0, 1, 2])
    assert engine.predict(samples[0])[0] == OK
    before = engine.trained()
    assert engine.accumulate(samples[0] * 1e28, 1)[0] == OK
    assert np.abs(engine.trained(gradient=True)).max() > 1e20
    assert engine.update() == NOT_FINITE
    np.testing.assert_array_equal(engine.trained(), before)
    assert not engine.trained(gradient=True).any()
    assert engine.update() == WRONG_STATE
    # Nothing of it is left in the moments.
    assert engine.accumulate(samples[0], 1)[0] == OK
    assert engine.update() == OK
