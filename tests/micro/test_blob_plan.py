"""A device reads the plan that the host wrote into the blob."""

import numpy as np
import pytest
from devices import make_device
from engine_library import MISALIGNED, OK, TOO_SMALL, WRONG_STATE, Engine

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import read_blob

CHANNELS = {"expand": [1, 5], "last": [0, 2, 3]}


def read(engine, size, shift=0):
    """Returns the code, and counts and channels where there are any."""
    work = np.zeros(size // 8 + 2, np.uint64).view(np.uint8)[shift:]
    offsets = np.zeros(3, np.uint64)
    code = engine.status("engine_read_plan", work, size, offsets)
    if code != OK:
        assert not work.any()
        return code, None, None, None
    counts, channels, kinds = (work[int(n) :] for n in offsets)
    counts = counts[: 2 * engine.layers].view(np.uint16)
    channels = channels[: 2 * counts.sum()].view(np.uint16)
    return code, counts, channels, kinds[: engine.layers] if offsets[2] else ()


@pytest.fixture
def device(engine_build, net, tmp_path):
    return make_device(engine_build, ktt.wrap(net), CHANNELS, tmp_path)


def test_the_plan_of_the_host(device):
    size = 2 * (len(device.channels) + 5)
    code, counts, channels, kinds = read(device.engine, size)
    assert code == OK
    assert len(kinds) == 0
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


def test_inputs_and_biases(engine_build, net, make_plan, tmp_path):
    model = ktt.wrap(net)
    plan = make_plan(
        model,
        {"expand": np.array([1])},
        inputs={"last": np.array([0, 3])},
        biases=["project", "last"],
    )
    ktt.apply_plan(model, plan)
    blob = ktt.export_micro(model, tmp_path).blob.read_bytes()
    engine = Engine(engine_build, blob)
    size = 3 * engine.layers + 2 * 3
    assert read(engine, size - 1)[0] == TOO_SMALL
    code, counts, channels, kinds = read(engine, size)
    assert code == OK
    names = [layer["name"] for layer in read_blob(blob).layers]
    assert names == ["expand", "dw", "project", "last"]
    assert list(counts) == [1, 0, 0, 2]
    assert list(channels) == [1, 0, 3]
    assert list(kinds) == [0, 0, 2, 3]
