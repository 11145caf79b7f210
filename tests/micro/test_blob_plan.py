"""A device reads the plan that the host wrote into the blob."""

import numpy as np
import pytest
from devices import make_device
from engine_library import MISALIGNED, OK, TOO_SMALL, WRONG_STATE, Engine

import keras_tinytrain as ktt

UNSUPPORTED = -12
CHANNELS = {"expand": [1, 5], "last": [0, 2, 3]}


def read(engine, size, shift=0):
    """Returns the code, and counts and channels where there are any."""
    work = np.zeros(size // 8 + 2, np.uint64).view(np.uint8)[shift:]
    offsets = np.zeros(2, np.uint64)
    code = engine.status("engine_read_plan", work, size, offsets)
    if code != OK:
        assert not work.any()
        return code, None, None
    counts, channels = (work[int(n) :] for n in offsets)
    counts = counts[: 2 * engine.layers].view(np.uint16)
    return code, counts, channels[: 2 * counts.sum()].view(np.uint16)


@pytest.fixture
def device(engine_build, net, tmp_path):
    return make_device(engine_build, ktt.wrap(net), CHANNELS, tmp_path)


def test_the_plan_of_the_host(device):
    size = 2 * (len(device.channels) + 5)
    code, counts, channels = read(device.engine, size)
    assert code == OK
    assert list(counts) == device.counts
    assert list(channels) == [1, 5, 0, 2, 3]


def test_one_byte_less_is_refused(device):
    size = 2 * (len(device.channels) + 5)
    assert read(device.engine, size - 1)[0] == TOO_SMALL
    assert device.engine.numbers == (size, size - 1, 1)
    assert read(device.engine, size, shift=4)[0] == MISALIGNED


def test_without_a_plan_the_device_selects(engine_build, net, tmp_path):
    result = ktt.export_micro(ktt.wrap(net), tmp_path)
    engine = Engine(engine_build, result.blob.read_bytes())
    assert read(engine, 1024)[0] == WRONG_STATE


@pytest.mark.parametrize(
    "parts", [{"inputs": {"last": np.array([1])}}, {"biases": ["last"]}]
)
def test_what_no_device_trains_is_refused(
    engine_build, net, make_plan, tmp_path, parts
):
    model = ktt.wrap(net)
    ktt.apply_plan(model, make_plan(model, {"expand": np.array([1])}, **parts))
    result = ktt.export_micro(model, tmp_path)
    engine = Engine(engine_build, result.blob.read_bytes())
    assert read(engine, 1024)[0] == UNSUPPORTED
