"""The engine learns in int8 what Keras learns with QAS."""

import keras
import numpy as np
import pytest
from devices import boundary, make_device, random_channels
from engine_library import ADAM, MOMENTUM, OK, SGD
from test_engine_training import check_gradients, check_ten_steps, images_of
from test_int8_engine import int8_of

import keras_tinytrain as ktt

WAY = 3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["residual", "mixed", "pooled"])
def test_gradients(engine_build, tmp_path, name, seed):
    model = int8_of(name)
    rng = np.random.default_rng(seed)
    channels = random_channels(rng, ktt.layer_costs(model))
    device = make_device(
        engine_build, model, channels, tmp_path, from_pixels=seed % 3 == 0
    )
    check_gradients(device, images_of(model, 4, seed), [0, 1, 2, 1], WAY)


OPTIMIZERS = {
    "adam": (ADAM, lambda: keras.optimizers.Adam(0.004), {"rate": 0.004}),
    "sgd": (SGD, lambda: keras.optimizers.SGD(0.003), {"rate": 0.003}),
    "momentum": (
        MOMENTUM,
        lambda: keras.optimizers.SGD(0.01, momentum=0.9),
        {"rate": 0.01, "momentum": 0.9},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_losses_of_ten_steps(engine_build, tmp_path, name):
    optimizer, make, rates = OPTIMIZERS[name]
    model = int8_of("residual")
    costs = ktt.layer_costs(model)
    channels = random_channels(np.random.default_rng(1), costs, share=0.8)
    device = make_device(
        engine_build, model, channels, tmp_path, optimizer=optimizer
    )
    model.compile(ktt.QASOptimizer(make()))
    images, queries = images_of(model, 9), images_of(model, 6, seed=1)
    check_ten_steps(device, images, np.arange(9) % WAY, queries, **rates)


def test_a_checkpoint_brings_the_integers_back(engine_build, tmp_path):
    model = int8_of("residual")
    costs = ktt.layer_costs(model)
    channels = random_channels(np.random.default_rng(2), costs, share=0.8)
    device = make_device(engine_build, model, channels, tmp_path, optimizer=SGD)
    images, labels = images_of(model, 6), np.arange(6) % WAY
    samples = boundary(device, images)
    sizes = device.start(rate=0.3)
    device.observe(samples, labels)
    for _ in range(3):
        for sample, label in zip(samples, labels):
            assert device.engine.accumulate(sample, label)[0] == OK
        assert device.engine.update() == OK
    expected = [device.engine.predict(s)[2] for s in samples]
    slots = np.zeros(1 << 16, np.uint8)
    assert device.engine.save(slots) == OK
    device.engine.init(*sizes)
    assert device.engine.load(slots) == OK
    for sample, logits in zip(samples, expected):
        np.testing.assert_array_equal(device.engine.predict(sample)[2], logits)
