"""Checkpoints that do not fit or are damaged: refused, with numbers."""

import dataclasses

import numpy as np
import pytest
from checkpoint_cases import changed, exported, learn, one, saved
from checkpoint_library import Slots
from checkpoint_nets import build

from keras_tinytrain.export.checkpoint_file import Checkpoint

SWAPPED = 0x04030201
# The layers of the checkpoint: 1 depthwise, 2 project, 3 last, 4 dense.
REFUSED = [
    (None, {"magic": b"TTNB"}, "no checkpoint", 0, 0),
    (None, {"byte_order": SWAPPED}, "bad format", 0x01020304, SWAPPED),
    (None, {"major": 2}, "wrong version", 1, 2),
    (None, {"header_size": 60}, "bad format", 64, 60),
    (None, {"header_size": 66}, "bad format", 64, 66),
    (None, {"header_size": 2**32 - 4}, "bad format", 64, 2**32 - 4),
    (None, {"base": 5}, "wrong model", None, 5),
    (None, {"kind": 0}, "wrong model", 1, 0),
    (None, {"embedding": 2}, "wrong model", 0, 2),
    (None, {"depth": 4}, "wrong model", 5, 4),
    (None, {"way": 11}, "wrong model", 10, 11),
    (None, {"layers": 6}, "wrong model", 5, 6),
    (None, {"stride": 28}, "bad format", 32, 28),
    (None, {"stride": 34}, "bad format", 32, 34),
    (None, {"stride": 2**32 - 4}, "bad format", None, 2**32 - 4),
    (None, {"vectors": 2**32 - 4}, "bad format", None, 2**32 - 4),
    (None, {"vectors": 66}, "bad format", None, 66),
    (1, {"index": 1}, "bad format", 2, 1),
    (3, {"index": 5}, "wrong model", 0, 5),
    (3, {"index": 2**32 - 1}, "wrong model", 0, 2**32 - 1),
    (0, {"by_input": 2}, "bad format", 1, 2),
    (0, {"by_input": 1}, "wrong model", 0, 1),
    (0, {"count": 5}, "wrong model", 4, 5),
    (0, {"count": 1}, "wrong model", 9, 18),
    (1, {"weights": 0}, "wrong model", 12, 0),
    (0, {"biases": 2}, "wrong model", 0, 2),
    (3, {"biases": 0}, "wrong model", 3, 0),
    (3, {"biases": 4}, "wrong model", 3, 4),
    (3, {"biases": 6}, "wrong model", 3, 6),
    (3, {"biases": 5}, "bad format", None, None),
    (1, {"indices": 65}, "bad format", None, 65),
    (1, {"indices": 2**32 - 4}, "bad format", None, 2**32 - 4),
    (1, {"kernel": 2**32 - 4}, "bad format", None, 2**32 - 4),
    (3, {"bias": 2**32 - 4}, "bad format", None, 2**32 - 4),
]


@pytest.mark.parametrize(
    ("layer", "values", "code", "expected", "received"), REFUSED
)
def test_what_does_not_fit_is_refused(
    layer, values, code, expected, received, device, checkpoint
):
    data = changed(checkpoint.to_bytes(), layer, **values)
    actual, *numbers = device.open(one(data))
    assert actual == code
    if received is not None:
        assert numbers[1] == received
    if expected is not None:
        assert numbers[0] == expected


@pytest.mark.parametrize(
    ("indices", "code"),
    [([3, 1], "bad format"), ([1, 1], "bad format"), ([1, 4], "wrong model")],
)
def test_wrong_indices_are_refused(indices, code, device, checkpoint):
    layers = list(checkpoint.layers)
    layers[0] = dataclasses.replace(layers[0], indices=np.uint16(indices))
    wrong = dataclasses.replace(checkpoint, layers=layers)
    assert device.open(one(wrong.to_bytes()))[0] == code
    slots = one(b"", size=2048)
    assert device.save(wrong, slots)[0] == "bad argument"
    assert not any(slots.content)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["vectors", "kernel", "bias"])
def test_numbers_that_are_not_finite_go_no_way(part, value, device, checkpoint):
    wrong = Checkpoint.from_bytes(checkpoint.to_bytes())
    layers = list(wrong.layers)
    values = np.array(wrong.vectors if part == "vectors" else layers[-1].bias)
    if part == "kernel":
        values = np.array(layers[-1].kernel)
    values.ravel()[-1] = value
    if part == "vectors":
        wrong = dataclasses.replace(wrong, vectors=values)
    else:
        layers[-1] = dataclasses.replace(layers[-1], **{part: values})
        wrong = dataclasses.replace(wrong, layers=layers)
    assert device.open(one(wrong.to_bytes()))[0] == "not finite"
    slots = one(b"", size=2048)
    assert device.save(wrong, slots)[0] == "not finite"
    assert not any(slots.content)


def test_a_checkpoint_of_another_model_is_refused(device, tmp_path):
    """Weights that differ in one bit make another model."""
    _, data = saved(learn(build(seed=5)), tmp_path)
    assert device.open(one(data))[0] == "wrong model"


def test_it_fits_a_tail_that_has_the_layers(checkpoints, tmp_path):
    model = learn(build(), {"last": [1], "dense": [0, 4]})
    expected, data = saved(model, tmp_path)
    plan = model.plan
    tail = exported(checkpoints, model, tmp_path)
    assert [row["name"] for row in tail.layers] == ["last", "dense"]
    assert tail.load(one(data), expected).to_bytes() == data
    slots = one(b"", size=1024)
    assert tail.save(expected, slots)[0] == "ok"
    assert slots.content.startswith(data)
    _, earlier = saved(learn(model), tmp_path)
    assert model.plan != plan
    assert tail.open(one(earlier)) == ("wrong model", 2, 4, 0)


def test_what_is_in_the_slots_is_told(device, checkpoint):
    data = checkpoint.to_bytes()
    size = len(data)
    damaged = data[:-1] + b"x"
    empty = bytes(size)
    assert device.open(one(empty))[0] == "no checkpoint"
    assert device.open(one(b"\xff" * size))[0] == "no checkpoint"
    assert device.open(one(damaged))[0] == "corrupt"
    assert device.open(one(empty + damaged, size))[0] == "corrupt"
    assert device.open(one(damaged + data, size))[0] == "ok"
    assert device.open(one(data + damaged, size))[0] == "ok"
    assert device.open(one(data[:-4], size - 4)) == (
        "too small",
        size,
        size - 4,
        4,
    )
    assert device.open(one(b"", 60)) == ("too small", 64, 60, 4)


def test_a_slot_too_small_by_one_byte_stays_as_it_is(device, checkpoint):
    size = len(checkpoint.to_bytes())
    assert device.bytes(checkpoint) == size
    assert device.save(checkpoint, one(b"", size))[0] == "ok"
    slots = one(b"", size - 1)
    assert device.save(checkpoint, slots) == ("too small", size, size - 1, 1)
    assert not any(slots.content)
    # Flash is written in whole units.
    rounded = -(-size // 64) * 64
    assert rounded > size
    slots = Slots(np.full(2 * size, 0xFF, np.uint8), None, size, 64)
    assert device.save(checkpoint, slots)[:2] == ("too small", rounded)


@pytest.mark.parametrize("unit", [0, 3, 128])
def test_units_that_flash_cannot_have_are_refused(unit, device, checkpoint):
    slots = Slots(np.full(2048, 0xFF, np.uint8), None, 256, unit)
    assert device.save(checkpoint, slots)[:3] == ("bad argument", 64, unit)


def test_what_is_not_of_the_model_is_not_written(device, checkpoint):
    def refused(change):
        slots = one(b"", size=2048)
        status = device.save(checkpoint, slots, change)
        assert not any(slots.content)
        return status

    def row(trained, i, row):
        trained.layers[i].row = row

    def count(trained, i, count):
        trained.layers[i].count = count

    def way(trained, way):
        trained.way = way

    wrong = "bad argument"
    assert refused(lambda t: row(t, 0, 5)) == (wrong, 0, 5, 0)
    assert refused(lambda t: row(t, 1, 1)) == (wrong, 2, 1, 0)
    assert refused(lambda t: count(t, 0, 5)) == (wrong, 4, 5, 0)
    assert refused(lambda t: way(t, 11)) == (wrong, 10, 11, 0)


def test_it_is_read_into_its_own_plan_only(device, checkpoint):
    """All or nothing: nothing is written where the plan differs."""
    slots = one(checkpoint.to_bytes())

    def refused(shape, change=None):
        status, after = device.read(slots, shape, change)
        assert after.to_bytes() == shape.to_bytes()
        return status

    def with_layers(layers):
        return dataclasses.replace(shape, layers=layers)

    zeros = [
        dataclasses.replace(layer, kernel=0 * layer.kernel, bias=0 * layer.bias)
        for layer in checkpoint.layers
    ]
    vectors = 0 * checkpoint.vectors
    shape = dataclasses.replace(checkpoint, layers=zeros, vectors=vectors)
    other = dataclasses.replace(zeros[-1], indices=np.uint16([0, 2, 3]))
    fewer = dataclasses.replace(zeros[-1], indices=np.uint16([0, 2]))
    wrong = "bad argument"
    assert refused(with_layers(zeros[:-1])) == (wrong, 4, 3, 0)
    assert refused(with_layers([*zeros[:-1], other])) == (wrong, 4, 3, 0)
    assert refused(with_layers([*zeros[:-1], fewer])) == (wrong, 3, 2, 0)
    moved = dataclasses.replace(zeros[0], index=0)
    assert refused(with_layers([moved, *zeros[1:]])) == (wrong, 1, 0, 0)
    less = dataclasses.replace(shape, vectors=vectors[:2])
    assert refused(less) == (wrong, 3, 2, 0)
    assert device.read(slots, shape)[1].to_bytes() == checkpoint.to_bytes()


def test_other_models_do_not_count(device, checkpoint):
    """Where another model has left newer checkpoints, they are replaced."""
    other = changed(checkpoint.to_bytes(), base=5, sequence=7)
    size = len(other)
    slots = one(other + checkpoint.to_bytes(), size)
    assert device.load(slots, checkpoint).sequence == 1
    assert device.save(checkpoint, slots)[0] == "ok"
    assert slots.content[:size] != other
    assert device.load(slots, checkpoint).sequence == 2
