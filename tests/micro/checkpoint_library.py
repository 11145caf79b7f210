"""The checkpoints of the engine, called from Python."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import subprocess
from pathlib import Path

import numpy as np

from keras_tinytrain.export.checkpoint_file import Checkpoint, TrainedLayer

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "micro" / "src"
FILES = [
    SOURCE / "tinytrain" / f"{name}.cpp"
    for name in (
        *("checkpoint", "save_checkpoint", "checkpoint_slots", "ram_storage"),
        "stored",
        *("model", "model_checks", "crc32"),
    )
]
FLAGS = ["-std=gnu++11", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
FLAGS += ["-fno-exceptions", f"-I{SOURCE}", f"-I{HERE}"]
ENDLESS = 2**64 - 1
CODES = {
    0: "ok",
    -1: "too small",
    -3: "bad argument",
    -4: "bad format",
    -5: "wrong version",
    -6: "corrupt",
    -7: "wrong model",
    -8: "not finite",
    -9: "wrong state",
    -10: "no checkpoint",
    -11: "storage",
    -12: "unsupported",
}


class _Place(ctypes.Structure):
    _fields_ = (
        ("memory", ctypes.c_void_p),
        ("file", ctypes.c_char_p),
        ("slot_bytes", ctypes.c_uint32),
        ("page_bytes", ctypes.c_uint32),
        ("write_bytes", ctypes.c_uint32),
        ("power", ctypes.c_uint64),
        ("is_misused", ctypes.c_uint32),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        ("row", ctypes.c_uint16),
        ("kind", ctypes.c_uint16),
        ("index", ctypes.c_void_p),
        ("count", ctypes.c_int),
        ("weights", ctypes.c_void_p),
        ("biases", ctypes.c_void_p),
        ("stored", ctypes.c_void_p),
        ("stored_biases", ctypes.c_void_p),
    )


class _Trained(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.POINTER(_Layer)),
        ("layer_count", ctypes.c_uint32),
        ("class_vectors", ctypes.c_void_p),
        ("way", ctypes.c_uint32),
    )


def build_library(compiler: str, path: Path) -> ctypes.CDLL:
    """Compiles checkpoint_capi.cpp; what is undefined stops the process."""
    flags = [*FLAGS, "-g", "-O1", "-shared", "-fPIC"]
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    files = [HERE / "checkpoint_capi.cpp", *FILES]
    subprocess.run([compiler, *flags, *files, "-o", path], check=True)
    return ctypes.CDLL(str(path))


@dataclasses.dataclass
class Slots:
    """Two slots, and how much of them may change before the power fails.

    Attributes:
        memory: Both slots, one after the other.
        file: Where they lie instead, if there is a file.
        page_bytes: Of flash; 0 for anything else.
        write_bytes: Smallest unit of a write.
        power: Bytes that may change.
    """

    memory: np.ndarray
    file: Path | None = None
    page_bytes: int = 0
    write_bytes: int = 1
    power: int = ENDLESS

    @property
    def slot_bytes(self) -> int:
        return len(self.memory) // 2

    @property
    def content(self) -> bytes:
        return self.file.read_bytes() if self.file else self.memory.tobytes()

    @content.setter
    def content(self, data: bytes) -> None:
        if self.file:
            self.file.write_bytes(data)
        else:
            self.memory[:] = np.frombuffer(data, np.uint8)


def kind_of(layer: TrainedLayer) -> int:
    """Returns the bits of a plan's flags, `format::kByInput` and so on."""
    own = 0 if layer.by_input else len(layer.indices)
    return int(layer.by_input) + 2 * (layer.bias.size > own)


def as_trained(checkpoint: Checkpoint, rows: dict[int, int], change=None):
    """Returns what a device would hold after training, and its arrays.

    Args:
        checkpoint: What is trained.
        rows: Row in the blob by index of the layer.
        change: Called with the structure before it is used.
    """
    arrays, layers = [], []

    def keep(values, dtype):
        arrays.append(np.array(values, dtype))
        return arrays[-1].ctypes.data

    for layer in checkpoint.layers:
        layers.append(
            _Layer(
                rows[layer.index],
                kind_of(layer),
                keep(layer.indices, np.uint16),
                len(layer.indices),
                keep(layer.kernel, np.float32),
                keep(layer.bias, np.float32),
            )
        )
    vectors = keep(checkpoint.vectors, np.float32)
    trained = _Trained(
        (_Layer * len(layers))(*layers),
        len(layers),
        vectors,
        len(checkpoint.vectors),
    )
    if change:
        change(trained)
    return trained, arrays


class Device:
    """What has the blob of a network, and storage for checkpoints."""

    def __init__(self, library: ctypes.CDLL, blob: bytes, rows: list[dict]):
        """Takes a blob and its layers.

        Args:
            library: Of checkpoint_capi.cpp.
            blob: The bytes.
            rows: `Blob.layers`.
        """
        self._library = library
        library.checkpoint_bytes.restype = ctypes.c_uint64
        self._blob = np.zeros(len(blob) // 8 + 2, np.uint64)
        ctypes.memmove(self._blob.ctypes.data, blob, len(blob))
        self._size = len(blob)
        self.layers = rows
        self.rows = {row["index"]: i for i, row in enumerate(rows)}

    def _call(self, name, slots, *arguments):
        """Returns what `Status` says: the code by name, three numbers."""
        place = _Place(
            slots.memory.ctypes.data,
            os.fsencode(slots.file) if slots.file else None,
            slots.slot_bytes,
            slots.page_bytes,
            slots.write_bytes,
            slots.power,
        )
        status = (ctypes.c_int64 * 4)()
        getattr(self._library, name)(
            ctypes.c_void_p(self._blob.ctypes.data),
            ctypes.c_size_t(self._size),
            ctypes.byref(place),
            *arguments,
            status,
        )
        slots.power = place.power
        assert not place.is_misused, "Flash cannot do what was written."
        code, *numbers = status
        return CODES[code], *numbers

    def bytes(self, checkpoint: Checkpoint) -> int:
        """Returns what a slot has to hold."""
        trained, _arrays = as_trained(checkpoint, self.rows)
        return self._library.checkpoint_bytes(
            ctypes.c_void_p(self._blob.ctypes.data),
            ctypes.c_size_t(self._size),
            ctypes.byref(trained),
        )

    def save(self, checkpoint: Checkpoint, slots: Slots, change=None):
        """Writes what is trained; returns the status."""
        trained, _arrays = as_trained(checkpoint, self.rows, change)
        return self._call("checkpoint_save", slots, ctypes.byref(trained))

    def open(self, slots: Slots):
        """Returns the status alone."""
        return self._call("checkpoint_open", slots, (ctypes.c_uint32 * 999)())

    def load(self, slots: Slots, like: Checkpoint) -> Checkpoint:
        """Reads the newest checkpoint.

        Args:
            slots: Where it lies.
            like: Has base, head and embedding, which a device only compares.
        """
        numbers = (ctypes.c_uint32 * 999)()
        status = self._call("checkpoint_open", slots, numbers)
        assert status[0] == "ok", status
        sequence, count, way = numbers[:3]
        layers = []
        for i in range(count):
            row, channels, kind = numbers[3 * i + 3 : 3 * i + 6]
            fields = self.layers[row]
            indices = np.full(channels, 0xFFFF, np.uint16)
            self._call(
                "checkpoint_channels",
                slots,
                i,
                ctypes.c_void_p(indices.ctypes.data),
            )
            by_input, every_bias = bool(kind & 1), bool(kind & 2)
            size = fields["inputs" if by_input else "channels"]
            weights = channels * fields["weights"] // size
            biases = fields["channels" if every_bias else "biases"]
            if not every_bias:
                biases = channels if biases and not by_input else 0
            layers.append(
                TrainedLayer(
                    fields["index"],
                    by_input,
                    indices,
                    np.full(weights, np.nan, np.float32),
                    np.full(biases, np.nan, np.float32),
                )
            )
        vectors = np.full((way, like.vectors.shape[1]), np.nan, np.float32)
        empty = dataclasses.replace(
            like, layers=layers, vectors=vectors, sequence=sequence
        )
        status, filled = self.read(slots, empty)
        assert status[0] == "ok", status
        return filled

    def read(self, slots: Slots, shape: Checkpoint, change=None):
        """Reads into arrays of the shapes of a checkpoint.

        Returns:
            The status, and the checkpoint with what the arrays hold then.
        """
        trained, arrays = as_trained(shape, self.rows, change)
        status = self._call("checkpoint_read", slots, ctypes.byref(trained))
        layers = [
            dataclasses.replace(
                layer, kernel=arrays[3 * i + 1], bias=arrays[3 * i + 2]
            )
            for i, layer in enumerate(shape.layers)
        ]
        return status, dataclasses.replace(
            shape, layers=layers, vectors=arrays[-1]
        )
