"""The records of docs/format.md, field by field."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Mapping

MAJOR, MINOR = 1, 0
BYTE_ORDER = 0x01020304
NONE = 0xFFFFFFFF
NO_LIMIT = 0xFFFFFFFFFFFFFFFF
# Where the CRC of all other bytes lies.
CRC = slice(16, 20)


@dataclasses.dataclass(frozen=True)
class Record:
    """One kind of record.

    Args:
        name: What it is called in messages.
        fields: `struct` codes by the names of the fields.
    """

    name: str
    fields: Mapping[str, str]

    @property
    def size(self) -> int:
        """Its bytes."""
        return struct.calcsize(self._format)

    @property
    def _format(self) -> str:
        return "<" + "".join(self.fields.values())

    def pack(self, **values: int | float | bytes) -> bytes:
        """Returns the bytes of a record; fields left out are 0."""
        filled = [
            values.pop(name, b"" if code.endswith(("s", "x")) else 0)
            for name, code in self.fields.items()
        ]
        if values:
            raise TypeError(f"{self.name} has no fields {sorted(values)}")
        return struct.pack(self._format, *filled)

    def unpack(self, data: bytes, offset: int = 0) -> dict:
        """Reads the record at an offset.

        Raises:
            ValueError: If the data end before it does.
        """
        if not 0 <= offset <= len(data) - self.size:
            raise ValueError(
                f"Expected {self.size} bytes of {self.name} at {offset}. "
                f"Received: {len(data)} bytes in all"
            )
        values = struct.unpack_from(self._format, data, offset)
        return dict(zip(self.fields, values))


# What a blob and a checkpoint begin with.
_START = {
    "magic": "4s",
    "major": "H",
    "minor": "H",
    "byte_order": "I",
    "size": "I",
    "crc": "I",
    "header_size": "I",
    "base": "Q",
}
HEADER = Record(
    "header", _START | {"sections": "I"} | {f"reserved{i}": "I" for i in "012"}
)
SECTION = Record(
    "section",
    {"kind": "I", "offset": "I", "size": "I", "count": "I", "stride": "I"},
)
NETWORK = Record(
    "network", {"input_kind": "I", "name": "I", "cut": "I", "layers": "I"}
)
TENSOR = Record(
    "tensor",
    {
        "height": "I",
        "width": "I",
        "channels": "I",
        "type": "H",
        "reserved": "H",
        "scale": "f",
        "zero_point": "i",
    },
)
OPERATION = Record(
    "operation",
    {
        "kind": "H",
        "activation": "H",
        "input": "I",
        "second": "I",
        "output": "I",
        "layer": "I",
        "kernel_height": "H",
        "kernel_width": "H",
        "stride_down": "H",
        "stride_across": "H",
        "top": "H",
        "bottom": "H",
        "left": "H",
        "right": "H",
        "factor": "f",
        "summand": "f",
    },
)
LAYER = Record(
    "layer",
    {
        "name": "I",
        "index": "I",
        "operation": "I",
        "type": "H",
        "flags": "H",
        "channels": "I",
        "inputs": "I",
        "kernel": "I",
        "weights": "I",
        "bias": "I",
        "biases": "I",
        "scale": "I",
        "scales": "I",
        "macs": "Q",
        "input_bytes": "I",
        "output_bytes": "I",
    },
)
HEAD = Record(
    "head",
    {
        "kind": "H",
        "embedding": "H",
        "depth": "I",
        "max_way": "I",
        "scale": "f",
        "vector_length": "f",
    },
)
TRAINING = Record(
    "training",
    {
        "cost_model": "H",
        "criterion": "H",
        "memory_bytes": "Q",
        "macs": "Q",
        "full_macs": "Q",
        "peak_bytes": "I",
        "most_weights": "I",
        "most_macs": "Q",
        "weights": "I",
    },
)
PLAN = Record("plan", {"layer": "I", "flags": "I", "count": "I", "first": "I"})
CHECKPOINT = Record(
    "checkpoint",
    _START
    | {
        "sequence": "I",
        "layers": "I",
        "kind": "H",
        "embedding": "H",
        "way": "I",
        "depth": "I",
        "vectors": "I",
        "stride": "I",
        "reserved": "I",
    },
)
TRAINED = Record(
    "trained layer",
    {
        "index": "I",
        "by_input": "H",
        "reserved": "H",
        "count": "I",
        "biases": "I",
        "weights": "I",
        "indices": "I",
        "kernel": "I",
        "bias": "I",
    },
)
# The options of the operator in a `model.tflite`, see docs/tflm.md.
TAIL = Record(
    "tail",
    {name: code for name, code in _START.items() if name != "base"}
    | {
        "persistent_bytes": "I",
        "work_bytes": "I",
        "optimizer": "H",
        "flags": "H",
        "learning_rate": "f",
        "momentum": "f",
        "scale": "f",
        "zero_point": "i",
        "factor": "f",
        "summand": "f",
    },
)

# Section numbers.
SECTIONS = {
    "network": 1,
    "tensors": 2,
    "operations": 3,
    "layers": 4,
    "names": 5,
    "head": 6,
    "training": 7,
    "plan": 8,
    "plan_indices": 9,
    "weights": 10,
}
KINDS = {
    "conv2d": 1,
    "depthwise_conv2d": 2,
    "dense": 3,
    "add": 4,
    "global_average_pool": 5,
    "average_pool": 6,
    "max_pool": 7,
    "activation": 8,
    "rescale": 9,
    "dequantize": 10,
}
ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 2}
HEAD_KINDS = {"prototype": 0, "linear": 1}
EMBEDDINGS = {"features": 0, "mean": 1, "pyramid": 2}
COST_MODELS = {"arena": 0, "paper": 1}
CRITERIA = {"earliest": 0, "tinytrain": 1}
FLOAT32, INT8 = 0, 1
CANDIDATE = 1
BY_INPUT, EVERY_BIAS = 1, 2
SCORES = 1


def seal(data: bytes) -> bytes:
    """Writes size and CRC into the start of a blob or checkpoint."""
    data = data[:12] + struct.pack("<I", len(data)) + data[16:]
    crc = struct.pack("<I", crc_of(data))
    return data[: CRC.start] + crc + data[CRC.stop :]


def crc_of(data: bytes) -> int:
    """Computes the CRC of a blob or checkpoint."""
    return zlib.crc32(data[CRC.stop :], zlib.crc32(data[: CRC.start]))


def check_start(record: Record, magic: bytes, data: bytes) -> dict:
    """Reads a header; refuses another format, version or damaged bytes.

    Args:
        record: `HEADER`, `CHECKPOINT` or `TAIL`.
        magic: What the data have to begin with.
        data: At least the whole blob or checkpoint.

    Raises:
        ValueError: With what is wrong.
    """
    start = record.unpack(data)
    what = magic.decode()
    for name, expected in (
        ("magic", magic),
        ("byte_order", BYTE_ORDER),
        ("major", MAJOR),
    ):
        if start[name] != expected:
            raise ValueError(
                f"Expected a {what} file with {name}={expected!r}. Received: "
                f"{name}={start[name]!r}"
            )
    if not record.size <= start["header_size"] <= start["size"] <= len(data):
        raise ValueError(
            f"Expected a whole {what} file of {start['size']} bytes with a "
            f"header of at least {record.size}. Received: {len(data)} bytes, "
            f"header_size={start['header_size']}"
        )
    crc = crc_of(data[: start["size"]])
    if start["crc"] != crc:
        raise ValueError(
            f"Expected an undamaged {what} file with CRC-32 "
            f"{start['crc']:08x}. Received: {crc:08x}"
        )
    return start
