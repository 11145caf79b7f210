"""Writes the seeds of the fuzzers: small files that hold every feature.

python tests/micro/fuzz/make_seeds.py
"""

import pathlib
import struct
import tempfile

import keras
import numpy as np
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.export.checkpoint_file import Checkpoint, TrainedLayer
from keras_tinytrain.micro.serial_frames import Frame
from keras_tinytrain.micro.serial_handle import OF_KEPT, REQUESTS
from keras_tinytrain.selection import make_plan

HERE = pathlib.Path(__file__).parent
SEEDS = HERE / "seeds"
CHECKPOINT_SEEDS = HERE / "checkpoint_seeds"
SERIAL_SEEDS = HERE / "serial_seeds"
# Trained channels, and whether all biases train, by layer of `block`.
PARTS = {
    "parts": {0: ([1], False), 2: ([0, 2], False), 3: ([0, 1], False)},
    "biases": {0: ([], True), 1: ([0, 2], True)},
    "vectors": {},
}


def block() -> keras.Model:
    """Every operation on the way to a map."""
    image = keras.Input((7, 6, 2))
    x = layers.Rescaling(0.5, -1.0)(image)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(2, 3, strides=2, activation="relu", name="stem")(x)
    y = layers.Conv2D(3, 1, activation="relu6", name="expand")(x)
    y = layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, name="depthwise"
    )(y)
    y = layers.Conv2D(2, 1, name="project")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.MaxPooling2D(2, strides=1, padding="same", name="max")(x)
    x = layers.ReLU(name="clamp")(x)
    x = layers.AveragePooling2D(2, strides=1, padding="same", name="mean")(x)
    return keras.Model(image, x, name="block")


def vector() -> keras.Model:
    """Pooled, then dense."""
    image = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 1, activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(3, name="dense")(x)
    return keras.Model(image, x, name="vector")


def checkpoint(blob, parts, *, by_input=False) -> Checkpoint:
    """A checkpoint of a blob with counting numbers."""
    layers = []
    for row, (indices, every_bias) in parts.items():
        fields = blob.layers[row]
        biases = len(indices) if fields["biases"] else 0
        if every_bias or by_input:
            biases = fields["biases"]
        size = fields["inputs"] if by_input else fields["channels"]
        weights = len(indices) * fields["weights"] // size
        layers.append(
            TrainedLayer(
                fields["index"],
                by_input,
                np.array(indices, int),
                np.arange(weights),
                np.arange(biases),
            )
        )
    vectors = np.arange(2 * blob.head["depth"]).reshape(2, -1)
    return Checkpoint(blob.base, "linear", "pyramid", vectors, layers)


def write_checkpoints(data: bytes) -> None:
    """Writes what may be trained of a blob, alone or in two slots."""
    blob = read_blob(data)
    CHECKPOINT_SEEDS.mkdir(exist_ok=True)
    files = {n: checkpoint(blob, p).to_bytes() for n, p in PARTS.items()}
    inputs = {3: ([0, 2], False)}
    files["inputs"] = checkpoint(blob, inputs, by_input=True).to_bytes()
    for name, content in files.items():
        (CHECKPOINT_SEEDS / f"{name}.ttck").write_bytes(content)


def write_lines() -> None:
    """Writes a whole life as requests, and the same as bytes on the line."""
    frames, samples = [], [bytes([i] * 84) for i in (10, 200)]

    def ask(name: str, argument: int = 0, payload: bytes = b"", more: int = 0):
        number = len(frames)
        kind = REQUESTS[name] + more
        frames.append(Frame(kind, number, argument, payload))

    ask("about")
    ask("init", 2, bytes(4))
    ask("begin_scoring")
    for i, sample in enumerate(samples):
        ask("keep", i, sample)
        ask("observe", i, sample)
    for i in range(2):
        ask("score", i, bytes([i, 0]), OF_KEPT)
    ask("select")
    counts = 1, 0, 2, 0
    ask("plan", 0, struct.pack("<7H", *counts, 1, 0, 2))
    for i in range(2):
        ask("accumulate", i, bytes([i, 0]), OF_KEPT)
    ask("update")
    for i, sample in enumerate(samples):
        floats = np.frombuffer(sample, np.uint8).astype("<f4")
        ask("revisit", i, floats.tobytes())
    for name in ("settle", "save", "load"):
        ask(name)
    ask("predict", 0, samples[0])
    rows = [
        struct.pack("<BBHH", f.type, f.number, f.argument, len(f.payload))
        + f.payload
        for f in frames
    ]
    SERIAL_SEEDS.mkdir(exist_ok=True)
    (SERIAL_SEEDS / "requests").write_bytes(b"\1" + b"".join(rows))
    (SERIAL_SEEDS / "line").write_bytes(
        b"\0" + b"".join(f.encode() for f in frames)
    )


def main() -> None:
    """Writes one file a net, and the checkpoints of the last one."""
    keras.utils.set_random_seed(0)
    for net, head, channels, parts in (
        (
            block(),
            "linear",
            {"expand": np.array([0, 2]), "depthwise": np.array([0, 2])},
            {"inputs": {"project": np.array([0, 2])}, "biases": {"project"}},
        ),
        (vector(), "prototype", {"dense": np.array([1])}, {}),
        (block(), "linear", None, {}),
    ):
        model = ktt.wrap(net, head=head)
        name = net.name
        if channels is not None:
            costs = ktt.layer_costs(model)
            ktt.apply_plan(model, make_plan(channels, costs, "seed", **parts))
            name += "_planned"
        with tempfile.TemporaryDirectory() as folder:
            result = ktt.export_micro(model, folder, from_pixels=True)
            data = result.blob.read_bytes()
        SEEDS.mkdir(exist_ok=True)
        (SEEDS / f"{name}.ttnb").write_bytes(data)
    write_checkpoints(data)
    write_lines()
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 3, (16, 7, 6, 2)).astype("float32")
    model = ktt.quantize(ktt.wrap(block()), images)
    with tempfile.TemporaryDirectory() as folder:
        result = ktt.export_micro(model, folder, from_pixels=True)
        content = result.blob.read_bytes()
    (SEEDS / "block_int8.ttnb").write_bytes(content)


if __name__ == "__main__":
    main()
