"""Checkpoints: bit for bit, of this model only, and never half of one."""

import dataclasses
import struct
import zlib

import keras
import numpy as np
import pytest
from checkpoint_nets import build
from full_disk import full_disk
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.export import layout
from keras_tinytrain.export.checkpoint_file import (
    Checkpoint,
    TrainedLayer,
    newest,
)


def learn(model, seed=1, way=3):
    """Gives a model a plan of all kinds, and random trained parts."""
    costs = ktt.layer_costs(model)
    plan = ktt.selection.make_plan(
        {"depthwise": np.array([1, 3]), "dense": np.array([0, 2, 4])},
        costs,
        "test",
        inputs={"project": np.array([0, 3])},
        biases={"project", "last"},
    )
    ktt.apply_plan(model, plan)
    rng = np.random.default_rng(seed)
    for layer in model.network.layers.values():
        for variable in (layer.kernel_slice, layer.bias_slice):
            if variable is not None:
                variable.assign(rng.normal(size=variable.shape))
    if way:
        model.set_class_vectors(rng.normal(size=(way, 5)).astype("float32"))
    return model


def state(model):
    """Returns all that a checkpoint can change."""
    parts = [] if model.class_vectors is None else [model.class_vectors.numpy()]
    for layer in model.network.layers.values():
        parts += [layer.channels, layer.inputs, layer.biased]
        for variable in (layer.kernel_slice, layer.bias_slice):
            parts.append(np.zeros(0) if variable is None else variable.numpy())
    return [part.tobytes() for part in parts], model.plan


@pytest.fixture
def learned():
    return learn(build())


@pytest.fixture
def file(learned, tmp_path):
    ktt.save_checkpoint(learned, tmp_path / "task.ttck")
    return tmp_path / "task.ttck"


def test_what_was_learned_comes_back_bit_for_bit(learned, file):
    model = build()
    ktt.load_checkpoint(model, file)
    bits, plan = state(model)
    assert bits == state(learned)[0]
    assert plan == dataclasses.replace(learned.plan, criterion="device")
    images = np.random.default_rng(2).normal(size=(4, 6, 6, 3))
    np.testing.assert_array_equal(
        model.predict(images), learned.predict(images)
    )


def test_a_full_disk_keeps_what_was_learned_before(file):
    before = file.read_bytes()
    with full_disk(100), pytest.raises(OSError, match="before it is safe"):
        ktt.save_checkpoint(learn(build(), seed=2), file)
    assert file.read_bytes() == before


def test_special_bits_come_back(learned, file):
    """Negative zero and the smallest numbers are no other ones."""
    layer = learned.network.layers["dense"]
    values = layer.kernel_slice.numpy()
    values.ravel()[:3] = -0.0, 1e-45, -3e38
    layer.kernel_slice.assign(values)
    ktt.save_checkpoint(learned, file)
    model = build()
    ktt.load_checkpoint(model, file)
    assert state(model)[0] == state(learned)[0]


def test_it_replaces_what_was_learned_before(learned, file):
    model = learn(build(), seed=9, way=7)
    ktt.load_checkpoint(model, file)
    assert state(model)[0] == state(learned)[0]
    none = build()
    ktt.apply_plan(none, learned.plan)
    ktt.save_checkpoint(none, file)
    ktt.load_checkpoint(model, file)
    assert model.class_vectors is None


def test_a_fitted_model_predicts_the_same_elsewhere(make_net, make_task, file):
    model, task = ktt.wrap(make_net(norm=True)), make_task()
    budget = ktt.Budget(memory="32KB")
    model.fit(
        task,
        steps_per_epoch=2,
        callbacks=[ktt.TaskAdaptiveSparse(budget)],
        verbose=0,
    )
    ktt.save_checkpoint(model, file)
    other = ktt.wrap(make_net(norm=True))
    ktt.load_checkpoint(other, file)
    np.testing.assert_array_equal(
        other.predict(task.images), model.predict(task.images)
    )


def test_the_bytes_are_those_of_the_format(tmp_path):
    """A depthwise layer and one input channel, worked out by hand."""
    image = keras.Input((2, 2, 2))
    x = layers.DepthwiseConv2D((1, 2), use_bias=False, name="dw")(image)
    net = keras.Model(image, layers.Conv2D(3, 1, name="mix")(x))
    model = ktt.wrap(net, head="prototype")
    costs = ktt.layer_costs(model)
    plan = ktt.selection.make_plan(
        {"dw": np.array([1])}, costs, "test", inputs={"mix": np.array([0])}
    )
    ktt.apply_plan(model, plan)
    depthwise, mix = model.network.layers.values()
    depthwise.kernel_slice.assign([[[1.0], [2.0]]])
    mix.kernel_slice.assign([[[[3.0, 4.0, 5.0]]]])
    model.set_class_vectors(np.float32([[6, 7, 8]]))
    ktt.save_checkpoint(model, tmp_path / "file")
    data = (tmp_path / "file").read_bytes()
    base = struct.unpack_from("<Q", data, 24)[0]
    body = struct.pack(
        "<I8IHHIIIII",
        1,  # Sequence number.
        2,  # Layers.
        1 << 16,  # A prototype of the mean.
        1,  # Classes.
        3,  # Numbers of an embedding.
        128,  # Where its vectors are.
        32,
        0,
        0,  # The first layer,
        *(0, 0),  # of output channels,
        *(1, 0, 2),  # one with two weights,
        *(140, 144),
    )
    body += struct.pack("<IIHHIIIIII", 152, 1, 1, 0, 1, 0, 3, 152, 156, 168)
    body += struct.pack("<3f", 6, 7, 8)
    body += struct.pack("<HH2f", 1, 0, 1, 2)
    body += struct.pack("<HH3f", 0, 0, 3, 4, 5)
    head = struct.pack("<4sHHII", b"TTCK", 1, 0, 0x01020304, 168)
    covered = struct.pack("<IQ", 64, base) + body
    crc = zlib.crc32(head + covered)
    assert data == head + struct.pack("<I", crc) + covered
    exported = ktt.export_micro(model, tmp_path).blob.read_bytes()
    assert struct.unpack_from("<Q", exported, 24)[0] == base


def check_refused(model, file, data, message="Expected"):
    before = state(model)
    file.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        ktt.load_checkpoint(model, file)
    assert state(model) == before


def test_every_truncation_and_every_flipped_bit_is_refused(learned, file):
    data = file.read_bytes()
    for size in range(len(data)):
        with pytest.raises(ValueError, match="Expected"):
            newest(data[:size])
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="Expected"):
            newest(bytes(damaged))
    check_refused(learned, file, data[:-4])


def test_another_model_is_refused(file, learned):
    data = file.read_bytes()
    check_refused(learn(build(seed=1)), file, data, "this model, with base")
    changed = build(head="prototype")
    check_refused(changed, file, data, "with head prototype. Received: head l")
    with pytest.raises(ValueError, match="Expected a wrapped model"):
        ktt.load_checkpoint(changed.source, file)
    with pytest.raises(ValueError, match="Expected a model with a plan"):
        ktt.save_checkpoint(changed, file)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"major": 2}, "major=1"),
        ({"byte_order": 0x04030201}, "byte_order="),
        ({"magic": b"TTNB"}, "magic="),
        ({"header_size": 60}, "header of at least 64"),
        ({"stride": 0, "layers": 2**32 - 1}, "rows of at least 32"),
        ({"layers": 2**32 - 1}, "Expected"),
        ({"kind": 2}, "head to be one of"),
        ({"embedding": 9}, "embedding to be one of"),
        ({"embedding": 1}, "with embedding features. Received: embedding mean"),
        ({"way": 2**31, "depth": 2**31}, "in a checkpoint of"),
        ({"depth": 3, "way": 5}, "vectors of 5 numbers. Received: 3"),
        ({"vectors": 6}, "offset 6"),
    ],
)
def test_other_headers_are_refused(learned, file, values, message):
    data, record = file.read_bytes(), layout.CHECKPOINT
    header = record.pack(**record.unpack(data) | values)
    data = layout.seal(header + data[record.size :])
    check_refused(learned, file, data, message)


def test_a_later_minor_version_is_read(learned, file):
    data, record = file.read_bytes(), layout.CHECKPOINT
    header = record.unpack(data) | {"minor": 3, "reserved": 5}
    file.write_bytes(layout.seal(record.pack(**header) + data[record.size :]))
    model = build()
    ktt.load_checkpoint(model, file)
    assert state(model)[0] == state(learned)[0]


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        (0, {"indices": np.array([1, 4])}, "below 4 of layer 'depthwise'"),
        (0, {"indices": np.array([3, 1])}, "rising indices"),
        (0, {"indices": np.array([3, 3])}, "rising indices"),
        (0, {"by_input": True}, "below 0 of layer 'depthwise'"),
        (0, {"kernel": np.zeros(17)}, "18 weights of layer 'depthwise'"),
        (0, {"bias": np.zeros(2)}, r"one of \[0\] biases"),
        (0, {"index": 2}, r"from 0 to 4, rising. Received: \[2, 2, 3, 4\]"),
        (3, {"index": 5}, r"Received: \[1, 2, 3, 5\]"),
        (1, {"bias": np.zeros(2)}, r"one of \[0, 4\] biases"),
        (3, {"bias": np.zeros(4)}, r"one of \[3, 5\] biases"),
        (3, {"bias": np.zeros(0)}, r"one of \[3, 5\] biases"),
        (
            1,
            {"kernel": np.full(8, np.nan)},
            "finite numbers of layer 'project'",
        ),
        (2, {"bias": np.full(3, np.inf)}, "finite numbers of layer 'last'"),
    ],
)
def test_parts_of_another_layer_are_refused(
    learned, file, which, change, message
):
    checkpoint = newest(file.read_bytes())
    parts = list(checkpoint.layers)
    parts[which] = dataclasses.replace(parts[which], **change)
    data = dataclasses.replace(checkpoint, layers=parts).to_bytes()
    check_refused(learned, file, data, message)


def test_class_vectors_that_are_not_finite_are_refused(learned, file):
    checkpoint = newest(file.read_bytes())
    vectors = np.full((2, 5), np.nan)
    data = dataclasses.replace(checkpoint, vectors=vectors).to_bytes()
    check_refused(learned, file, data, "finite numbers of class vectors")


def checkpoint_of(sequence):
    part = TrainedLayer(0, False, np.array([1]), np.ones(2), np.zeros(1))
    return Checkpoint(
        7, "linear", "mean", np.ones((2, 3)), [part], sequence
    ).to_bytes()


def slot(data, size=256):
    return data + b"\xff" * (size - len(data))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (1, 2, 2),
        (2, 1, 2),
        (2**32 - 1, 0, 0),
        (0, 2**32 - 1, 0),
        (5, None, 5),
        (None, 5, 5),
    ],
)
def test_of_two_slots_the_newer_complete_one_counts(first, second, expected):
    both = b"".join(
        slot(b"" if number is None else checkpoint_of(number))
        for number in (first, second)
    )
    assert newest(both).sequence == expected


def test_what_another_model_has_left_does_not_count(learned, tmp_path):
    """Even if it is the newer one, as on the device."""
    other = learn(build(seed=5), seed=6)
    for model, name in ((learned, "own"), (other, "other")):
        ktt.save_checkpoint(model, tmp_path / name)
    own, left = ((tmp_path / name).read_bytes() for name in ("own", "other"))
    newer = dataclasses.replace(Checkpoint.from_bytes(left), sequence=7)
    size = max(len(own), len(left))
    for slots in ((newer.to_bytes(), own), (own, newer.to_bytes())):
        both = b"".join(slot(data, size) for data in slots)
        (tmp_path / "slots").write_bytes(both)
        model = build()
        ktt.load_checkpoint(model, tmp_path / "slots")
        assert state(model)[0] == state(learned)[0]


def test_two_empty_slots_are_refused():
    with pytest.raises(ValueError, match="magic=b'TTCK'"):
        newest(slot(b"") + slot(b""))


@pytest.mark.parametrize("erased", [True, False])
def test_power_may_fail_at_any_byte_of_a_write(erased):
    """Written as docs/format.md says, the old or the new state is read."""
    states = [slot(checkpoint_of(4)), slot(checkpoint_of(3))]
    data = checkpoint_of(5)
    writes = []
    if erased:
        writes += [(i, 0xFF) for i in range(256)]
    else:
        writes += [(i, 0) for i in range(4)]
    writes += [(i, data[i]) for i in range(4, len(data))]
    writes += [(i, data[i]) for i in range(4)]
    storage = bytearray(states[1])
    for done, (at, value) in enumerate(writes, 1):
        storage[at] = value
        expected = 5 if done == len(writes) else 4
        assert newest(states[0] + bytes(storage)).sequence == expected
