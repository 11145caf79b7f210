"""Steps in place: SGD of one sample, with no gradients and int8 weights."""

import numpy as np
import pytest
from devices import boundary, make_device
from engine_library import (
    IN_PLACE,
    NOT_FINITE,
    OK,
    SGD,
    WRONG_STATE,
    Engine,
)
from test_engine_bytes import written
from test_engine_training import images_of
from test_int8_engine import int8_of

import keras_tinytrain as ktt
from keras_tinytrain.export.checkpoint_file import newest

WAY = 3
CHANNELS = {"dw": [1, 5], "project": [0, 3]}
PARTS = {
    "inputs": {"expand": np.array([0, 2]), "last": np.array([0, 1, 2, 3])},
    "biases": ["dw", "last"],
}


def build(library, model, folder, optimizer):
    return make_device(
        *(library, model, CHANNELS, folder), parts=PARTS, optimizer=optimizer
    )


def learn(device, samples, labels, rate):
    """Takes a step of each sample; returns the losses."""
    device.start(rate=rate)
    device.observe(samples, labels)
    losses = []
    for sample, label in zip(samples, labels):
        code, loss = device.engine.accumulate(sample, label)
        assert code == OK
        assert device.engine.update() == OK
        losses.append(loss)
    return losses


def task_of(device, count):
    images = images_of(device.model, count)
    return boundary(device, images), np.arange(count) % WAY


def learned(device):
    """Returns the layers of a checkpoint."""
    slots = np.zeros(1 << 16, np.uint8)
    assert device.engine.save(slots) == OK
    return newest(slots.tobytes()).layers, slots


@pytest.mark.parametrize("head", ["linear", "prototype"])
def test_it_is_sgd_of_one_sample(engine_build, make_net, tmp_path, head):
    model = ktt.wrap(make_net(norm=True), head=head)
    found = []
    for optimizer in (SGD, IN_PLACE):
        device = build(engine_build, model, tmp_path, optimizer)
        samples, labels = task_of(device, 12)
        losses = learn(device, samples, labels, 0.05)
        logits = [device.engine.predict(s)[2] for s in samples]
        found.append((losses, logits))
    assert np.ptp(found[0][0]) > 0.1
    for sums, in_place in zip(*found):
        np.testing.assert_allclose(in_place, sums, rtol=1e-4, atol=1e-4)


def test_bytes_by_hand(engine_build, tmp_path):
    """Counts, class vectors, int8 weights, int32 biases, indices, kinds."""
    model = int8_of("residual")
    device = build(engine_build, model, tmp_path, IN_PLACE)
    sizes = device.start(rate=0.01)
    depth = device.blob.head["depth"]
    # 2 of 4 inputs of 8 channels, 2 of 3 x 3, 2 of 8, all of 6 of 3 x 3 x 4.
    weights = 2 * 8 + 2 * 9 + 2 * 8 + 6 * 36
    biases, indices, layers = 8 + 2 + 6, 2 + 2 + 2 + 4, 4
    vectors = 4 * WAY * depth
    lists = 2 * layers + 2 * indices + layers
    assert sizes[0] == vectors + weights + 4 * biases + lists
    assert written(device, np.random.default_rng(0)) == sizes


@pytest.mark.parametrize("name", ["residual", "mixed", "pooled"])
def test_a_weight_lands_next_to_where_the_step_leads(
    engine_build, tmp_path, name
):
    """Above or below, and in the mean right there."""
    model = int8_of(name)
    costs = ktt.layer_costs(model)
    channels = {c.name: np.arange(c.channels) for c in costs}
    layers = []
    for optimizer in (SGD, IN_PLACE):
        device = make_device(
            engine_build, model, channels, tmp_path, optimizer=optimizer
        )
        samples, labels = task_of(device, WAY)
        device.start(rate=0.01)
        device.observe(samples, labels)
        assert device.engine.accumulate(samples[1], labels[1])[0] == OK
        assert device.engine.update() == OK
        layers.append(learned(device)[0])
    errors, moved = [], 0
    for exact, stored in zip(*layers):
        for wanted, found in (
            (exact.kernel, stored.kernel),
            (exact.bias, stored.bias),
        ):
            np.testing.assert_array_equal(found, np.round(found))
            inside = np.abs(wanted) < 127
            errors.append((found - wanted)[inside])
            moved += np.count_nonzero(wanted != np.round(wanted))
    errors = np.concatenate(errors)
    # Half a thousandth for what float32 rounds.
    assert np.abs(errors).max() < 1 + 5e-4
    assert moved > 20
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(moved) + 1e-6


def test_it_learns_in_int8(engine_build, tmp_path):
    """About as with float copies of the weights."""
    model = int8_of("residual")
    losses = []
    for optimizer in (SGD, IN_PLACE):
        device = build(engine_build, model, tmp_path, optimizer)
        samples, labels = task_of(device, 9)
        samples, labels = np.tile(samples, (6, 1, 1, 1)), np.tile(labels, 6)
        found = learn(device, samples, labels, 0.02)
        losses.append(np.reshape(found, (6, 9)).mean(axis=1))
    assert losses[0][-1] < 0.8 * losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.15)


@pytest.mark.parametrize("other", [IN_PLACE, SGD])
def test_a_checkpoint_brings_the_integers_back(engine_build, tmp_path, other):
    model = int8_of("residual")
    device = build(engine_build, model, tmp_path, IN_PLACE)
    samples, labels = task_of(device, 6)
    learn(device, samples, labels, 0.05)
    expected = [device.engine.predict(s)[2] for s in samples]
    _, slots = learned(device)
    again = Engine(engine_build, device.data, WAY, other)
    assert again.init(1 << 16, 1 << 16, rate=0.1) == OK
    assert again.load(slots) == OK
    for sample, logits in zip(samples, expected):
        np.testing.assert_array_equal(again.predict(sample)[2], logits)


def test_a_linear_head_has_no_room_for_means(engine_build, net, tmp_path):
    device = build(engine_build, ktt.wrap(net), tmp_path, IN_PLACE)
    samples, labels = task_of(device, 3)
    learn(device, samples, labels, 0.01)
    assert device.engine.revisit(samples[0], 0) == WRONG_STATE
    assert device.engine.predict(samples[0])[0] == OK


def test_steps_too_large_end_in_a_refusal(engine_build, net, tmp_path):
    device = build(engine_build, ktt.wrap(net), tmp_path, IN_PLACE)
    samples, labels = task_of(device, 3)
    device.start(rate=1e30)
    device.observe(samples, labels)
    codes = [device.engine.accumulate(samples[i % 3], 0)[0] for i in range(6)]
    assert NOT_FINITE in codes
