"""A sample in `work` gives its memory back once it was read."""

import numpy as np
import pytest
from devices import boundary, make_device, random_channels
from engine_library import BAD_ARGUMENT, IN_PLACE, IN_WORK, OK, SGD
from random_nets import random_net
from test_engine_bytes import written
from test_engine_training import device_losses, images_of
from test_int8_engine import build_wide, int8_of

import keras_tinytrain as ktt

WAY = 3


def compare(library, model, folder, channels, optimizer, **options):
    """Trains with the sample elsewhere and in `work`; returns both sizes."""
    sizes, found = [], []
    for where in (0, IN_WORK):
        device = make_device(
            *(library, model, channels, folder),
            optimizer=optimizer + where,
            **options,
        )
        images, labels = images_of(model, 4), np.arange(4) % WAY
        samples = boundary(device, images)
        sizes.append(device.start(rate=0.01))
        device.observe(samples, labels)
        losses = device_losses(device, samples, labels, 2)
        logits = [device.engine.predict(s)[2] for s in samples]
        found.append(np.append(losses, np.ravel(logits)))
        assert device.engine.marks()[1] <= sizes[-1][1]
    np.testing.assert_array_equal(*found)
    device.start(rate=0.01)
    assert written(device, np.random.default_rng(0)) == sizes[1]
    bytes_ = samples[0].nbytes + -samples[0].nbytes % 4
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] <= sizes[1][1] <= sizes[0][1] + bytes_
    return sizes, bytes_


@pytest.mark.parametrize("seed", range(6))
def test_it_computes_the_same(engine_build, randomized, tmp_path, seed):
    rng = np.random.default_rng(400 + seed)
    model = ktt.wrap(randomized(random_net(rng), seed))
    channels = random_channels(rng, ktt.layer_costs(model))
    pixels = {"from_pixels": seed % 2 == 0}
    compare(engine_build, model, tmp_path, channels, SGD, **pixels)


@pytest.mark.parametrize("optimizer", [SGD, IN_PLACE])
def test_in_int8(engine_build, tmp_path, optimizer):
    channels = {"stem": [1], "project": [0, 2]}
    compare(engine_build, int8_of("residual"), tmp_path, channels, optimizer)


def test_its_memory_is_used_again(engine_build, tmp_path):
    """A large sample costs less than its bytes."""
    net = build_wide(3, 2)
    model = ktt.wrap(net)
    model = ktt.quantize(model, images_of(model, 4))
    channels = {"project_1": [0, 1]}
    sizes, bytes_ = compare(
        *(engine_build, model, tmp_path, channels, SGD), from_pixels=True
    )
    assert bytes_ == 47 * 45 * 3 + 3
    assert sizes[1][1] < sizes[0][1] + bytes_


def test_another_place_is_refused(engine_build, net, tmp_path):
    device = make_device(
        *(engine_build, ktt.wrap(net), {"last": [1]}, tmp_path),
        optimizer=SGD + IN_WORK,
    )
    sample = np.zeros(device.shape, np.float32)
    assert device.engine.call("engine_sample_place") is None
    device.start(rate=0.1)
    assert device.engine.call("engine_sample_place") is not None
    assert device.engine.call("engine_observe_at", sample, 0) == BAD_ARGUMENT
    assert device.engine.observe(sample, 0) == OK
