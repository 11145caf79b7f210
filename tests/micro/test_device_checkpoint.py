"""Checkpoints of the device: those of Python, and none that is damaged."""

import ctypes
import dataclasses
import pathlib
import subprocess

import keras
import numpy as np
import pytest
from checkpoint_library import CODES, ENDLESS, Device, Slots
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.export.checkpoint_file import Checkpoint, newest

HERE = pathlib.Path(__file__).parent
SOURCE = HERE.parents[1] / "micro" / "src"
FILES = [
    SOURCE / "tinytrain" / f"{name}.cpp"
    for name in (
        *("checkpoint", "save_checkpoint", "checkpoint_slots", "ram_storage"),
        *("model", "model_checks", "crc32"),
    )
]
FLAGS = ["-std=gnu++11", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
FLAGS += ["-fno-exceptions", f"-I{SOURCE}", f"-I{HERE}"]
UNDEFINED = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def library(compiler, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.so"
    flags = [*FLAGS, "-g", "-O1", "-shared", "-fPIC", *UNDEFINED]
    files = [HERE / "checkpoint_capi.cpp", *FILES]
    subprocess.run([compiler, *flags, *files, "-o", path], check=True)
    return ctypes.CDLL(str(path))


def build(head="linear", seed=0):
    """Wraps a small net of all kinds of layers."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(image)
    y = layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, name="depthwise"
    )(x)
    y = layers.Conv2D(4, 1, use_bias=False, name="project")(y)
    y = layers.BatchNormalization(name="norm")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.Conv2D(3, (2, 1), activation="relu", name="last")(x)
    x = layers.Dense(5, name="dense")(layers.Flatten()(x))
    return ktt.wrap(keras.Model(image, x, name="net"), head=head)


CHANNELS = {"depthwise": [1, 3], "project": [0, 2, 3], "dense": [0, 2, 4]}


def learn(model, channels=None, *, seed=1, way=3, biases=("last",), **parts):
    """Gives a model a plan and random trained parts."""
    channels = CHANNELS if channels is None else channels
    channels = {name: np.array(c, int) for name, c in channels.items()}
    costs = ktt.layer_costs(model)
    plan = ktt.selection.make_plan(
        channels, costs, "test", biases=biases, **parts
    )
    ktt.apply_plan(model, plan)
    rng = np.random.default_rng(seed)
    for layer in model.network.layers.values():
        for variable in (layer.kernel_slice, layer.bias_slice):
            if variable is not None:
                variable.assign(rng.normal(size=variable.shape))
    vectors = rng.normal(size=(way, 5)).astype("float32")
    model.set_class_vectors(vectors if way else None)
    return model


def state(model):
    """Returns all that a checkpoint can change."""
    parts = [] if model.class_vectors is None else [model.class_vectors.numpy()]
    for layer in model.network.layers.values():
        parts += [layer.channels, layer.inputs, layer.biased]
        for variable in (layer.kernel_slice, layer.bias_slice):
            parts.append(np.zeros(0) if variable is None else variable.numpy())
    return [part.tobytes() for part in parts]


def saved(model, folder):
    """Returns the checkpoint of a model, and its bytes."""
    ktt.save_checkpoint(model, folder / "model.ttck")
    data = (folder / "model.ttck").read_bytes()
    return Checkpoint.from_bytes(data), data


def exported(library, model, folder, **options):
    """Returns the device with a model."""
    data = ktt.export_micro(model, folder, **options).blob.read_bytes()
    return Device(library, data, read_blob(data).layers)


@pytest.fixture
def device(library, tmp_path):
    return exported(library, build(), tmp_path, from_pixels=True)


@pytest.fixture
def checkpoint(tmp_path):
    return saved(learn(build()), tmp_path)[0]


KINDS = ["ram", "file", "flash of 1", "flash of 8", "flash of 32"]


@pytest.fixture(params=KINDS)
def slots(request, tmp_path):
    if request.param == "ram":
        return Slots(np.zeros(2048, np.uint8))
    if request.param == "file":
        (tmp_path / "slots").write_bytes(b"")
        return Slots(np.zeros(2048, np.uint8), file=tmp_path / "slots")
    unit = int(request.param.split()[-1])
    erased = np.full(2048, 0xFF, np.uint8)
    return Slots(erased, page_bytes=256, write_bytes=unit)


def one(data, size=None):
    """Returns slots of which the first one holds these bytes."""
    size = size or -(-len(data) // 8) * 8
    slots = Slots(np.zeros(2 * size, np.uint8))
    slots.memory[: len(data)] = np.frombuffer(data, np.uint8)
    return slots


PLANS = {
    "nothing": ({}, (), 2),
    "vectors": ({}, (), 10),
    "one": ({"stem": [3]}, (), 0),
    "parts": (CHANNELS, ("last",), 3),
    "every bias": ({"stem": [0, 2], "dense": [1]}, ("stem", "dense"), 2),
    "all": (
        {"stem": range(4), "depthwise": range(4), "project": range(4)}
        | {"last": range(3), "dense": range(5)},
        (),
        4,
    ),
}


@pytest.mark.parametrize("head", ["linear", "prototype"])
@pytest.mark.parametrize("name", PLANS)
def test_both_write_the_same_bytes(name, head, library, tmp_path):
    channels, biases, way = PLANS[name]
    model = learn(build(head), channels, biases=biases, way=way)
    device = exported(library, model, tmp_path, from_pixels=True)
    expected, data = saved(model, tmp_path)
    slots = one(b"", size=2048)
    assert device.save(expected, slots)[0] == "ok"
    assert slots.content[: len(data)] == data
    assert device.bytes(expected) == len(data)


@pytest.mark.parametrize("name", PLANS)
def test_what_the_device_learned_comes_to_the_host(name, library, tmp_path):
    channels, biases, way = PLANS[name]
    model = learn(build(), channels, biases=biases, way=way)
    device = exported(library, model, tmp_path, from_pixels=True)
    slots = one(b"", size=2048)
    device.save(saved(model, tmp_path)[0], slots)
    (tmp_path / "slots").write_bytes(slots.content)
    other = learn(build(), seed=9)
    ktt.load_checkpoint(other, tmp_path / "slots")
    assert state(other) == state(model)


@pytest.mark.parametrize("name", PLANS)
def test_what_the_host_learned_comes_to_the_device(name, library, tmp_path):
    channels, biases, way = PLANS[name]
    model = learn(build(), channels, biases=biases, way=way)
    device = exported(library, model, tmp_path, from_pixels=True)
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


def versions(checkpoint):
    """Yields the checkpoint with one number after the other."""
    rng = np.random.default_rng(3)
    for sequence in range(1, 100):
        vectors = rng.normal(size=checkpoint.vectors.shape)
        yield dataclasses.replace(
            checkpoint, vectors=vectors.astype("float32"), sequence=sequence
        )


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


def cuts(device, checkpoint, slots):
    """Cuts the power before every byte of a save, until it succeeds.

    Yields:
        The status of the save; the slots are as it left them.
    """
    start = slots.content
    for power in range(10_000):
        slots.content, slots.power = start, power
        status, *_ = device.save(checkpoint, slots)
        slots.power = ENDLESS
        yield status
        if status == "ok":
            return
        assert status == "storage"
    raise AssertionError("A save does not end.")


@pytest.mark.parametrize("before", [1, 2])
def test_power_fails_at_every_byte(before, device, checkpoint, slots):
    """The newest complete state is there, and life goes on."""
    last, new, after = list(versions(checkpoint))[before - 1 : before + 2]
    for version in list(versions(checkpoint))[:before]:
        assert device.save(version, slots)[0] == "ok"
    statuses = []
    for status in cuts(device, new, slots):
        statuses.append(status)
        found = device.load(slots, checkpoint)
        whole = new if found.sequence == new.sequence else last
        assert found.to_bytes() == whole.to_bytes()
        if status == "ok":
            assert whole is new
        assert newest(slots.content).to_bytes() == whole.to_bytes()
        follower = dataclasses.replace(after, sequence=whole.sequence + 1)
        assert device.save(after, slots)[0] == "ok"
        assert device.load(slots, checkpoint).to_bytes() == follower.to_bytes()
    # Every byte that a save changes was the last one once.
    assert len(statuses) > len(new.to_bytes())


def test_power_fails_at_every_byte_of_the_first_save(device, checkpoint, slots):
    for status in cuts(device, checkpoint, slots):
        opened, *_ = device.open(slots)
        if opened == "ok":
            loaded = device.load(slots, checkpoint)
            assert loaded.to_bytes() == checkpoint.to_bytes()
        assert status != "ok" or opened == "ok"
        assert device.save(checkpoint, slots)[0] == "ok"
        assert device.load(slots, checkpoint).sequence in (1, 2)


def test_power_fails_twice(device, checkpoint, slots):
    """Also when the slot is written again that the first loss has left."""
    old, new = list(versions(checkpoint))[:2]
    assert device.save(old, slots)[0] == "ok"
    start = slots.content
    erased = slots.slot_bytes if slots.page_bytes else 4
    for power in (erased // 2, erased + 100):
        slots.content, slots.power = start, power
        assert device.save(new, slots)[0] == "storage"
        for _ in cuts(device, new, slots):
            found = device.load(slots, checkpoint).to_bytes()
            assert found in (old.to_bytes(), new.to_bytes())


def changed(data, layer=None, **values):
    """Returns a checkpoint with other values of a record, sealed again.

    Args:
        data: The bytes.
        layer: Which row; the header when None.
        **values: By field of `layout`.
    """
    record = layout.CHECKPOINT if layer is None else layout.TRAINED
    at = 0 if layer is None else 64 + 32 * layer
    fields = record.unpack(data, at) | values
    data = data[:at] + record.pack(**fields) + data[at + record.size :]
    return layout.seal(data)


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
    (0, {"by_input": 1}, "unsupported", 1, 0),
    (0, {"count": 5}, "wrong model", 4, 5),
    (0, {"count": 1}, "wrong model", 9, 18),
    (1, {"weights": 0}, "wrong model", 12, 0),
    (0, {"biases": 2}, "wrong model", 0, 2),
    (3, {"biases": 0}, "wrong model", 3, 0),
    (3, {"biases": 4}, "wrong model", 3, 4),
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


def test_input_channels_are_refused_by_name(device, tmp_path):
    """The host can train them, the engine has no kernel for it."""
    model = learn(build(), {}, inputs={"project": np.array([0, 3])})
    _, data = saved(model, tmp_path)
    index = list(model.network.layers).index("project")
    assert device.open(one(data)) == ("unsupported", index, 0, 0)


def test_a_checkpoint_of_another_model_is_refused(library, device, tmp_path):
    """Weights that differ in one bit make another model."""
    _, data = saved(learn(build(seed=5)), tmp_path)
    assert device.open(one(data))[0] == "wrong model"


def test_it_fits_a_tail_that_has_the_layers(library, tmp_path):
    model = learn(build(), {"last": [1], "dense": [0, 4]}, biases=())
    expected, data = saved(model, tmp_path)
    plan = model.plan
    tail = exported(library, model, tmp_path)
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
    rounded = -(-size // 32) * 32
    assert rounded > size
    slots = Slots(np.full(2 * size, 0xFF, np.uint8), None, size, 32)
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

    def biases(trained, i, count):
        trained.layers[i].bias_count = count

    def way(trained, way):
        trained.way = way

    wrong = "bad argument"
    assert refused(lambda t: row(t, 0, 5)) == (wrong, 0, 5, 0)
    assert refused(lambda t: row(t, 1, 1)) == (wrong, 2, 1, 0)
    assert refused(lambda t: count(t, 0, 5)) == (wrong, 4, 5, 0)
    assert refused(lambda t: biases(t, 0, 2)) == (wrong, 0, 2, 0)
    assert refused(lambda t: biases(t, 3, 1)) == (wrong, 3, 1, 0)
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


SEEDS = HERE / "fuzz"


@pytest.fixture(scope="module")
def damage(compiler, tmp_path_factory):
    """Returns what became of every damage, by seed: counts by status."""
    path = tmp_path_factory.mktemp("damage") / "damage"
    flags = ["-g", "-O1", "-fsanitize=address,undefined"]
    flags += ["-fno-sanitize-recover=all"]
    files = [HERE / "damage_checkpoint.cpp", *FILES]
    subprocess.run([compiler, *FLAGS, *flags, *files, "-o", path], check=True)
    found = {}
    for seed in sorted((SEEDS / "checkpoint_seeds").glob("*.ttck")):
        output = subprocess.check_output(
            [path, SEEDS / "seeds" / "block.ttnb", seed], text=True
        )
        lines = (line.split() for line in output.splitlines())
        found[seed] = {
            line[0]: {
                CODES[-i]: int(count)
                for i, count in enumerate(line[1:])
                if int(count)
            }
            for line in lines
        }
    return found


def test_no_truncation_and_no_flipped_bit_is_accepted(damage):
    for seed, counts in damage.items():
        size = seed.stat().st_size
        fate = "unsupported" if "input" in seed.stem else "ok"
        assert counts["whole"] == {fate: 2}
        assert counts["truncated"] == {"too small": 2 * size}
        assert fate not in counts["flipped"]
        assert sum(counts["flipped"].values()) == 2 * 8 * size


def test_damage_under_a_right_checksum_reaches_every_check(damage):
    """The sanitizers saw no access outside, accepted or not."""
    reached = {c for counts in damage.values() for c in counts["sealed"]}
    assert reached == {
        *("ok", "too small", "bad format", "wrong version", "corrupt"),
        *("wrong model", "not finite", "no checkpoint", "unsupported"),
    }


@pytest.mark.parametrize("standard", ["gnu++11", "gnu++17"])
def test_it_compiles_for_old_and_new_cores(standard, compiler, tmp_path):
    for file in [*FILES, HERE / "fuzz" / "fuzz_checkpoint.cpp"]:
        flags = [*FLAGS, f"-std={standard}", "-fno-rtti", "-Os", "-c"]
        output = tmp_path / "object.o"
        subprocess.run([compiler, *flags, file, "-o", output], check=True)


def test_it_keeps_nothing_and_asks_for_nothing(compiler, tmp_path):
    """No heap, no static state: of a library it takes `memcpy` and the like."""
    kinds = {}
    for file in FILES:
        path = tmp_path / f"{file.stem}.o"
        flags = [*FLAGS, "-fno-rtti", "-Os", "-c"]
        subprocess.run([compiler, *flags, file, "-o", path], check=True)
        symbols = subprocess.check_output(["nm", "-C", path], text=True)
        for line in symbols.splitlines():
            kind, name = line[16:].strip().split(" ", 1)
            kinds.setdefault(kind, set()).add(name)
    assert not set(kinds) & set("BbDdCGgSs")
    needed = {n for n in kinds["U"] if not n.startswith("tinytrain::")}
    assert needed <= {
        *("memcpy", "memset"),
        *("_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"),
    }


def test_other_models_do_not_count(device, checkpoint):
    """Where another model has left newer checkpoints, they are replaced."""
    other = changed(checkpoint.to_bytes(), base=5, sequence=7)
    size = len(other)
    slots = one(other + checkpoint.to_bytes(), size)
    assert device.load(slots, checkpoint).sequence == 1
    assert device.save(checkpoint, slots)[0] == "ok"
    assert slots.content[:size] != other
    assert device.load(slots, checkpoint).sequence == 2
