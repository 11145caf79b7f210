"""Writes the blob of docs/format.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_tinytrain.budget import LayerCosts
from keras_tinytrain.device_graph import DeviceOp, Graph, Stored
from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import MAGIC, Weights

ALIGNMENT = 16


def write_blob(
    name: str,
    graph: Graph,
    weights: Mapping[str, Weights],
    costs: LayerCosts,
    candidates: Sequence[str],
    *,
    scales: Mapping[str, bytes],
    base: int,
    head: bytes,
    training: bytes,
    plan: tuple[list[bytes], bytes] | None,
) -> bytes:
    """Returns the bytes of a network for the device.

    Args:
        name: Name of the network.
        graph: What is exported of it.
        weights: Kernel and biases of the exported layers.
        costs: Costs of all layers of the whole network.
        candidates: Layers that may train.
        scales: Of the int8 layers, see `contents.scale_table`.
        base: Hash of the whole network.
        head: A record, see `contents`.
        training: A record.
        plan: Rows and indices, or None.
    """
    texts, pool = _Texts(), _Pool()
    network = layout.NETWORK.pack(
        input_kind=int(bool(graph.cut)),
        name=texts.add(name),
        cut=texts.add(graph.cut),
        layers=len(costs),
    )
    tensors = [
        layout.TENSOR.pack(height=h, width=w, channels=c, **_stored(stored))
        for (h, w, c), stored in zip(graph.shapes, graph.stored)
    ]
    rows = {name: i for i, name in enumerate(layer_names(graph))}
    operations = [_operation(op, rows) for op in graph.ops]
    layers = []
    for number, op in enumerate(graph.ops):
        if op.layer is None:
            continue
        kernel, bias = weights[op.layer]
        index = [cost.name for cost in costs].index(op.layer)
        layers.append(
            {
                "name": texts.add(op.layer),
                "index": index,
                "operation": number,
                "type": layout.INT8 if op.layer in scales else layout.FLOAT32,
                "flags": layout.CANDIDATE * (op.layer in candidates),
                "channels": costs[index].channels,
                "inputs": costs[index].inputs,
                "kernel": pool.add(kernel),
                "weights": kernel.size,
                "bias": pool.add(bias),
                "biases": bias.size,
                "scale": pool.add_bytes(scales.get(op.layer, b"")),
                "scales": bias.size if op.layer in scales else 0,
                "macs": costs[index].macs,
                "input_bytes": costs[index].input_bytes,
                "output_bytes": costs[index].output_bytes,
            }
        )
    sections = {
        "network": ([network], layout.NETWORK.size),
        "tensors": (tensors, layout.TENSOR.size),
        "operations": (operations, layout.OPERATION.size),
        # Where the weights lie is known when all else is placed.
        "layers": ([bytes(layout.LAYER.size)] * len(layers), layout.LAYER.size),
        "names": ([texts.data], 1),
        "head": ([head], layout.HEAD.size),
        "training": ([training], layout.TRAINING.size),
    }
    if plan is not None:
        sections["plan"] = (plan[0], layout.PLAN.size)
        sections["plan_indices"] = ([plan[1]], 2)
    sections["weights"] = ([pool.data], 4)
    table, body = _place(sections)
    start = table["weights"]["offset"]
    for layer in layers:
        layer["kernel"] += start
        layer["bias"] += start if layer["biases"] else 0
        layer["scale"] += start if layer["scales"] else 0
    packed = b"".join(layout.LAYER.pack(**layer) for layer in layers)
    at = table["layers"]["offset"] - _body_start(len(sections))
    body[at : at + len(packed)] = packed
    header = layout.HEADER.pack(
        magic=MAGIC,
        major=layout.MAJOR,
        minor=layout.MINOR,
        byte_order=layout.BYTE_ORDER,
        header_size=layout.HEADER.size,
        base=base,
        sections=len(sections),
    )
    header += b"".join(layout.SECTION.pack(**row) for row in table.values())
    return layout.seal(_aligned(header) + bytes(body))


def layer_names(graph: Graph) -> list[str]:
    """Lists the layers with weights, in order."""
    return [op.layer for op in graph.ops if op.layer is not None]


def _stored(stored: Stored) -> dict[str, int | float]:
    """Returns the fields of a tensor that say how it is stored."""
    if stored is None:
        return {"type": layout.FLOAT32}
    scale, zero_point = stored
    return {"type": layout.INT8, "scale": scale, "zero_point": zero_point}


def _operation(op: DeviceOp, rows: Mapping[str, int]) -> bytes:
    top, bottom, left, right = op.padding
    return layout.OPERATION.pack(
        kind=layout.KINDS[op.kind],
        activation=layout.ACTIVATIONS[op.activation],
        input=op.inputs[0],
        second=op.inputs[1] if len(op.inputs) > 1 else layout.NONE,
        output=op.output,
        layer=layout.NONE if op.layer is None else rows[op.layer],
        kernel_height=op.kernel[0],
        kernel_width=op.kernel[1],
        stride_down=op.strides[0],
        stride_across=op.strides[1],
        top=top,
        bottom=bottom,
        left=left,
        right=right,
        factor=op.factor,
        summand=op.summand,
    )


class _Texts:
    """Texts one after the other, each ended by a zero byte."""

    def __init__(self) -> None:
        self.data = b""

    def add(self, text: str) -> int:
        offset = len(self.data)
        self.data += text.encode() + b"\0"
        return offset


class _Pool:
    """Arrays one after the other, each aligned."""

    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, values: np.ndarray) -> int:
        return self.add_bytes(values.tobytes())

    def add_bytes(self, data: bytes) -> int:
        offset = len(self.data)
        self.data += _aligned(data)
        return offset if data else 0


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)


def _body_start(sections: int) -> int:
    size = layout.HEADER.size + sections * layout.SECTION.size
    return size + -size % ALIGNMENT


def _place(sections) -> tuple[dict[str, dict], bytearray]:
    """Returns the rows of the section table, and what they describe."""
    table, body = {}, bytearray()
    for name, (records, stride) in sections.items():
        data = b"".join(records)
        table[name] = {
            "kind": layout.SECTIONS[name],
            "offset": _body_start(len(sections)) + len(body),
            "size": len(data),
            "count": len(data) // stride,
            "stride": stride,
        }
        body += _aligned(data)
    return table, body
