"""Reads the blob of docs/format.md."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_tinytrain.export import layout

MAGIC = b"TTNB"
# Kernel and biases.
Weights = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Blob:
    """What a blob says; records are dictionaries by field of `layout`.

    Attributes:
        base: Hash of the base model.
        network: The record, names as text.
        tensors: The records.
        operations: The records.
        layers: The records, names as text.
        weights: Kernel and biases of each layer, by row; kernels are
            `(channels, weights of a channel)`, those of depthwise layers the
            other way round. Integers of an int8 layer.
        head: The record.
        training: The record.
        plan: `(record, indices)` of each layer, or None.
    """

    base: int
    network: dict
    tensors: list[dict]
    operations: list[dict]
    layers: list[dict]
    weights: list[Weights]
    head: dict
    training: dict
    plan: list[tuple[dict, np.ndarray]] | None


def read_blob(data: bytes) -> Blob:
    """Reads a blob.

    The device checks more: `micro/src/tinytrain/model.cpp`.

    Raises:
        ValueError: If it is no blob of this version, or damaged.
    """
    header = layout.check_start(layout.HEADER, MAGIC, data)
    table = {}
    for i in range(header["sections"]):
        offset = header["header_size"] + i * layout.SECTION.size
        row = layout.SECTION.unpack(data, offset)
        table[row["kind"]] = row

    def records(name: str, record: layout.Record) -> list[dict]:
        row = table[layout.SECTIONS[name]]
        return [
            record.unpack(data, row["offset"] + i * row["stride"])
            for i in range(row["count"])
        ]

    names = table[layout.SECTIONS["names"]]["offset"]

    def text(offset: int) -> str:
        start = names + offset
        return data[start : data.index(b"\0", start)].decode()

    def numbers(layer: dict, field: str, count: str) -> np.ndarray:
        stored = {"kernel": np.dtype(np.int8), "bias": np.dtype("<i4")}
        kind = stored[field] if layer["type"] else np.dtype("<f4")
        return np.frombuffer(data, kind, layer[count], layer[field])

    (network,) = records("network", layout.NETWORK)
    network |= {key: text(network[key]) for key in ("name", "cut")}
    layers = records("layers", layout.LAYER)
    layers = [layer | {"name": text(layer["name"])} for layer in layers]
    plan = None
    if layout.SECTIONS["plan"] in table:
        row = table[layout.SECTIONS["plan_indices"]]
        indices = np.frombuffer(data, "<u2", row["count"], row["offset"])
        plan = [
            (choice, indices[choice["first"] :][: choice["count"]])
            for choice in records("plan", layout.PLAN)
        ]
    return Blob(
        base=header["base"],
        network=network,
        tensors=records("tensors", layout.TENSOR),
        operations=records("operations", layout.OPERATION),
        layers=layers,
        weights=[
            (
                numbers(c, "kernel", "weights").reshape(
                    (c["channels"], -1) if c["inputs"] else (-1, c["channels"])
                ),
                numbers(c, "bias", "biases"),
            )
            for c in layers
        ],
        head=records("head", layout.HEAD)[0],
        training=records("training", layout.TRAINING)[0],
        plan=plan,
    )
