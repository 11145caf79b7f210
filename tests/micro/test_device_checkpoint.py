"""Checkpoints of device and host are the same, bit for bit."""

import dataclasses

import numpy as np
import pytest
from checkpoint_cases import (
    CHANNELS,
    exported,
    learn,
    one,
    saved,
    versions,
)
from checkpoint_nets import build

import keras_tinytrain as ktt
from keras_tinytrain.export import layout
from keras_tinytrain.export.checkpoint_file import newest


def state(model):
    """Returns all that a checkpoint can change."""
    parts = [] if model.class_vectors is None else [model.class_vectors.numpy()]
    for layer in model.network.layers.values():
        parts += [layer.channels, layer.inputs, layer.biased]
        for variable in (layer.kernel_slice, layer.bias_slice):
            parts.append(np.zeros(0) if variable is None else variable.numpy())
    return [part.tobytes() for part in parts]


# Channels by layer, classes, and what trains besides.
PLANS = {
    "nothing": ({}, 2),
    "vectors": ({}, 10),
    "one": ({"stem": [3]}, 0),
    "parts": (CHANNELS, 3),
    "all": (
        {"stem": range(4), "depthwise": range(4), "project": range(4)}
        | {"last": range(3), "dense": range(5)},
        4,
    ),
    "inputs": (
        {"depthwise": [2]},
        2,
        {"inputs": {"project": [0, 3], "dense": [1]}, "biases": ["project"]},
    ),
    "biases": ({"dense": [4]}, 2, {"biases": ["project", "last", "dense"]}),
}


def learned(name, head="linear"):
    channels, way, *parts = PLANS[name]
    parts = dict(*parts)
    for key, value in parts.get("inputs", {}).items():
        parts["inputs"][key] = np.array(value)
    return learn(build(head), channels, way=way, **parts)


@pytest.mark.parametrize("head", ["linear", "prototype"])
@pytest.mark.parametrize("name", PLANS)
def test_both_write_the_same_bytes(name, head, checkpoints, tmp_path):
    model = learned(name, head)
    device = exported(checkpoints, model, tmp_path, from_pixels=True)
    expected, data = saved(model, tmp_path)
    slots = one(b"", size=2048)
    assert device.save(expected, slots)[0] == "ok"
    assert slots.content[: len(data)] == data
    assert device.bytes(expected) == len(data)


@pytest.mark.parametrize("name", PLANS)
def test_what_the_device_learned_comes_to_the_host(name, checkpoints, tmp_path):
    model = learned(name)
    device = exported(checkpoints, model, tmp_path, from_pixels=True)
    slots = one(b"", size=2048)
    device.save(saved(model, tmp_path)[0], slots)
    (tmp_path / "slots").write_bytes(slots.content)
    other = learn(build(), seed=9)
    ktt.load_checkpoint(other, tmp_path / "slots")
    assert state(other) == state(model)


@pytest.mark.parametrize("name", PLANS)
def test_what_the_host_learned_comes_to_the_device(name, checkpoints, tmp_path):
    model = learned(name)
    device = exported(checkpoints, model, tmp_path, from_pixels=True)
    expected, data = saved(model, tmp_path)
    assert device.load(one(data), expected).to_bytes() == data


def test_special_bits_go_both_ways(device, checkpoint):
    """Negative zero and the smallest numbers are no other ones."""
    values = np.array(checkpoint.layers[-1].kernel)
    values[:3] = -0.0, 1e-45, -3e38
    last = dataclasses.replace(checkpoint.layers[-1], kernel=values)
    changed = dataclasses.replace(
        checkpoint, layers=[*checkpoint.layers[:-1], last]
    )
    slots = one(b"", size=2048)
    assert device.save(changed, slots)[0] == "ok"
    assert device.load(slots, checkpoint).to_bytes() == changed.to_bytes()


def test_a_later_minor_version_is_read(device, checkpoint):
    """Longer rows and header, other places, bytes between the parts."""
    data = checkpoint.to_bytes()
    header = layout.CHECKPOINT.unpack(data)
    rows, shift = [], 8 + 4 * header["layers"]
    for i in range(header["layers"]):
        row = layout.TRAINED.unpack(data, 64 + 32 * i)
        for part in ("indices", "kernel", "bias"):
            row[part] += shift
        rows.append(layout.TRAINED.pack(**row) + b"new!")
    body = data[header["vectors"] :]
    header |= {"minor": 1, "header_size": 72, "stride": 36}
    header["vectors"] += shift
    start = layout.CHECKPOINT.pack(**header) + b"longer.."
    later = layout.seal(start + b"".join(rows) + body)
    assert newest(later).to_bytes() == data
    assert device.load(one(later), checkpoint).to_bytes() == data


def test_slots_take_turns(device, checkpoint, slots):
    size = slots.slot_bytes
    written = []
    for version in list(versions(checkpoint))[:5]:
        data = version.to_bytes()
        assert device.save(version, slots)[0] == "ok"
        content = slots.content.ljust(2 * size, b"\0")
        places = [content.startswith(data), content[size:].startswith(data)]
        assert sum(places) == 1
        written.append(places.index(True))
        assert device.load(slots, version).to_bytes() == data
        assert newest(content).to_bytes() == data
    assert written == [0, 1, 0, 1, 0]


def test_sequence_numbers_wrap_around(device, checkpoint):
    slots = one(b"", size=1024)
    for sequence in (2**32 - 2, 2**31 - 1):
        before = dataclasses.replace(checkpoint, sequence=sequence)
        slots.content = before.to_bytes().ljust(2048, b"\0")
        for _ in range(4):
            sequence = (sequence + 1) % 2**32
            assert device.save(checkpoint, slots)[0] == "ok"
            loaded = device.load(slots, checkpoint)
            assert loaded.sequence == sequence
            assert newest(slots.content).sequence == sequence
