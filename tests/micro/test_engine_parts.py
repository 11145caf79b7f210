"""The engine trains input channels and biases alone, as Keras does."""

import keras
import numpy as np
import pytest
from devices import make_device, random_channels, random_parts
from engine_library import OK, SGD
from random_nets import random_net
from test_engine_bytes import costs_of, written
from test_engine_training import check_gradients, check_ten_steps, images_of
from test_int8_engine import NETS, int8_of

import keras_tinytrain as ktt

WAY = 3


def random_plan(rng, costs):
    """Draws channels of some layers, inputs of others, and biases of any."""
    parts = random_parts(rng, costs)
    left = [c for c in costs if c.name not in parts["inputs"]]
    channels = random_channels(rng, left) if left else {}
    return channels, parts


@pytest.mark.parametrize("seed", range(12))
def test_gradients_of_random_nets(engine_build, randomized, tmp_path, seed):
    """Law 7 of the same plans: the bytes of host and device agree."""
    rng = np.random.default_rng(200 + seed)
    net = randomized(random_net(rng), seed)
    model = ktt.wrap(net, head=["linear", "prototype"][seed % 2])
    pixels = seed % 3 == 0
    costs = costs_of(model, pixels, WAY)
    channels, parts = random_plan(rng, costs)
    device = make_device(
        engine_build, model, channels, tmp_path, parts=parts, from_pixels=pixels
    )
    check_gradients(device, images_of(model, 4, seed), [0, 1, 2, 1], WAY)
    sizes = device.start(rate=1e-3)
    assert written(device, rng) == sizes
    reported = device.result.persistent_bytes, device.result.work_bytes
    assert reported == sizes


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", NETS)
def test_gradients_in_int8(engine_build, tmp_path, name, seed):
    model = int8_of(name)
    rng = np.random.default_rng(seed)
    channels, parts = random_plan(rng, ktt.layer_costs(model))
    device = make_device(
        engine_build,
        model,
        channels,
        tmp_path,
        parts=parts,
        from_pixels=seed % 3 == 0,
    )
    check_gradients(device, images_of(model, 4, seed), [0, 1, 2, 1], WAY)


PARTS = {
    "inputs": {"expand": np.array([1, 2]), "last": np.array([0, 1, 2, 3])},
    "biases": ["stem", "dw", "project", "last"],
}


def task_of(model):
    return images_of(model, 9), np.arange(9) % WAY, images_of(model, 6, seed=1)


def test_losses_of_ten_steps(engine_build, make_net, tmp_path):
    model = ktt.wrap(make_net(norm=True))
    device = make_device(
        engine_build, model, {"dw": [3, 5]}, tmp_path, parts=PARTS
    )
    model.compile(keras.optimizers.Adam(0.004))
    check_ten_steps(device, *task_of(model), rate=0.004)


def test_losses_of_ten_steps_in_int8(engine_build, tmp_path):
    model = int8_of("residual")
    device = make_device(
        *(engine_build, model, {"dw": [3, 5]}, tmp_path),
        parts=PARTS,
        optimizer=SGD,
    )
    model.compile(ktt.QASOptimizer(keras.optimizers.SGD(0.003)))
    check_ten_steps(device, *task_of(model), rate=0.003)


def test_some_inputs_keep_less(engine_build, net, tmp_path):
    """Of 4 inputs of 8 x 8 positions two wait, and four are the tensor."""
    model, sizes = ktt.wrap(net), []
    for count in (0, 2, 4):
        inputs = {"expand": np.arange(count)} if count else {}
        device = make_device(
            *(engine_build, model, {}, tmp_path),
            parts={"inputs": inputs, "biases": ["expand"]},
        )
        sizes.append(device.start(rate=1e-3)[1])
        samples = images_of(model, 2)
        if device.blob.network["cut"]:
            samples = np.zeros((2, *device.shape))
        device.observe(samples, [0, 1])
        assert device.engine.accumulate(samples[0], 0)[0] == OK
    assert sizes[0] < sizes[1]
