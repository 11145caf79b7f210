"""Writes and reads the checkpoint of docs/format.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_tinytrain.export import layout

MAGIC = b"TTCK"


@dataclasses.dataclass(frozen=True)
class TrainedLayer:
    """What is trained of one layer.

    Attributes:
        index: The layer, counted over those of the network.
        by_input: Whether `indices` are input channels.
        indices: `(k,)` trained channels, rising.
        kernel: Their weights in channel-major order, flat.
        bias: The trained biases: none, one an index, or all.
    """

    index: int
    by_input: bool
    indices: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The difference of a trained model to its base.

    Attributes:
        base: Hash of the base model.
        head: `"prototype"` or `"linear"`.
        embedding: One of `layout.EMBEDDINGS`.
        vectors: Class vectors `(way, depth)`.
        layers: The trained layers, in order.
        sequence: Which of two slots is the newer one.
    """

    base: int
    head: str
    embedding: str
    vectors: np.ndarray
    layers: Sequence[TrainedLayer]
    sequence: int = 1

    def to_bytes(self) -> bytes:
        """Returns the bytes of docs/format.md."""
        header, row = layout.CHECKPOINT, layout.TRAINED
        body = _floats(self.vectors)
        start = header.size + row.size * len(self.layers)
        rows = []
        for layer in self.layers:
            places = []
            for part in (
                layer.indices.astype("<u2").tobytes(),
                _floats(layer.kernel),
                _floats(layer.bias),
            ):
                places.append(start + len(body))
                body += part + bytes(-len(part) % 4)
            rows.append(
                row.pack(
                    index=layer.index,
                    by_input=int(layer.by_input),
                    count=len(layer.indices),
                    biases=layer.bias.size,
                    weights=layer.kernel.size,
                    indices=places[0],
                    kernel=places[1],
                    bias=places[2],
                )
            )
        start_of_all = header.pack(
            magic=MAGIC,
            major=layout.MAJOR,
            minor=layout.MINOR,
            byte_order=layout.BYTE_ORDER,
            header_size=header.size,
            base=self.base,
            sequence=self.sequence,
            layers=len(rows),
            kind=layout.HEAD_KINDS[self.head],
            embedding=layout.EMBEDDINGS[self.embedding],
            way=self.vectors.shape[0],
            depth=self.vectors.shape[1],
            vectors=start,
            stride=row.size,
        )
        return layout.seal(start_of_all + b"".join(rows) + body)

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Reads one checkpoint; bytes behind it do not matter.

        Raises:
            ValueError: If it is none of this version, or damaged.
        """
        start = layout.check_start(layout.CHECKPOINT, MAGIC, data)
        data = data[: start["size"]]
        if start["stride"] < layout.TRAINED.size or start["stride"] % 4:
            raise ValueError(
                f"Expected rows of at least {layout.TRAINED.size} bytes. "
                f"Received: {start['stride']}"
            )
        layers = []
        for i in range(start["layers"]):
            row = layout.TRAINED.unpack(
                data, start["header_size"] + i * start["stride"]
            )
            layers.append(
                TrainedLayer(
                    row["index"],
                    bool(row["by_input"]),
                    _array(data, "<u2", row["count"], row["indices"]),
                    _array(data, "<f4", row["weights"], row["kernel"]),
                    _array(data, "<f4", row["biases"], row["bias"]),
                )
            )
        way, width = start["way"], start["depth"]
        return cls(
            start["base"],
            _name(layout.HEAD_KINDS, start["kind"], "head"),
            _name(layout.EMBEDDINGS, start["embedding"], "embedding"),
            _array(data, "<f4", way * width, start["vectors"]).reshape(
                way, width
            ),
            layers,
            start["sequence"],
        )


def newest(data: bytes, base: int | None = None) -> Checkpoint:
    """Reads a checkpoint, or the newer complete one of two slots.

    Args:
        data: The file.
        base: Hash of the base model. What another model has left counts only
            if there is nothing of this one. None: of whatever model.

    Raises:
        ValueError: If none is complete.
    """
    found, problems = [], []
    half = len(data) // 2
    for slot in (data, data[:half], data[half:]):
        try:
            found.append(Checkpoint.from_bytes(slot))
        except ValueError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    found = [c for c in found if base in (None, c.base)] or found
    newest = found[0]
    for other in found[1:]:
        if 0 < (other.sequence - newest.sequence) % 2**32 < 2**31:
            newest = other
    return newest


def _floats(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()


def _array(data: bytes, kind: str, count: int, offset: int) -> np.ndarray:
    if offset % 4 or offset + np.dtype(kind).itemsize * count > len(data):
        raise ValueError(
            f"Expected {count} numbers at a multiple of 4. Received: offset "
            f"{offset} in a checkpoint of {len(data)} bytes"
        )
    return np.frombuffer(data, kind, count, offset)


def _name(numbers: dict[str, int], number: int, what: str) -> str:
    for name, value in numbers.items():
        if value == number:
            return name
    raise ValueError(
        f"Expected the {what} to be one of {numbers}. Received: {number}"
    )
