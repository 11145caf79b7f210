"""A network as a device runs it: operations in order, tensors by number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras_tinytrain.paddings import Padding

Shape = tuple[int, int, int]
# Scale and zero point of stored int8 numbers; None of float32.
Stored = tuple[float, int] | None


@dataclasses.dataclass(frozen=True)
class DeviceOp:
    """One operation of a device, `output = kind(*inputs)`.

    Attributes:
        name: Path of the Keras operation.
        kind: One of `layout.KINDS`.
        inputs: Numbers of the tensors it reads.
        output: Number of the tensor it writes.
        shape: Height, width and channels of the output.
        activation: `"none"`, `"relu"` or `"relu6"`.
        kernel: Height and width of the window.
        strides: Its steps down and across.
        padding: Zeros or nothing at top, bottom, left and right.
        layer: Name of the layer whose weights it has, or None.
        factor: Of `"rescale"`.
        summand: Of `"rescale"`.
        stored: How the output is stored.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    output: int
    shape: Shape
    activation: str = "none"
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    layer: str | None = None
    factor: float = 0.0
    summand: float = 0.0
    stored: Stored = None


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network for a device: operation i writes tensor i + 1, 0 is the input.

    Attributes:
        input_shape: Shape of tensor 0.
        ops: The operations in order; the last one writes the features.
        cut: Name of the operation that writes tensor 0; empty for pixels.
        is_vector: Whether the features are a vector, which no head pools.
        sources: Number that each tensor had before, in the network or graph.
        input_stored: How tensor 0 is stored.
    """

    input_shape: Shape
    ops: tuple[DeviceOp, ...]
    cut: str
    is_vector: bool
    sources: tuple[int, ...]
    input_stored: Stored = None

    @property
    def shapes(self) -> list[Shape]:
        """Shapes of all tensors."""
        return [self.input_shape, *(op.shape for op in self.ops)]

    @property
    def stored(self) -> list[Stored]:
        """How all tensors are stored."""
        return [self.input_stored, *(op.stored for op in self.ops)]

    def embedding(self, head: str) -> str:
        """Names how a head makes an embedding of the features."""
        if self.is_vector:
            return "features"
        return {"prototype": "mean", "linear": "pyramid"}[head]

    def depth(self, head: str) -> int:
        """Returns the numbers of an embedding of a head."""
        height, width, channels = self.shapes[-1]
        parts = {"features": height * width, "mean": 1, "pyramid": 5}
        return parts[self.embedding(head)] * channels


def first_operation(graph: Graph, layer: str) -> int:
    """Finds where the part from a layer on can be cut off.

    Args:
        graph: A whole network.
        layer: Name of a layer of it.

    Returns:
        Index of the operation of the layer, or of the last one in front of it
        where a single tensor passes.
    """
    start = [op.layer for op in graph.ops].index(layer)
    while True:
        written = {op.output for op in graph.ops[start:]}
        read = {i for op in graph.ops[start:] for i in op.inputs} - written
        if len(read) == 1:
            return start
        start -= 1


def tail(graph: Graph, layer: str) -> Graph:
    """Returns the part from a layer on, or from just before it.

    It is cut where a single tensor passes, the last such place in front of
    the layer.

    Args:
        graph: A whole network.
        layer: Name of a layer of it.
    """
    start = first_operation(graph, layer)
    read = {i for op in graph.ops[start:] for i in op.inputs}
    boundary = min(read)
    if boundary == 0:
        return graph
    before = graph.ops[boundary - 1]
    return numbered(
        before.shape,
        graph.ops[start:],
        cut=before.name,
        is_vector=graph.is_vector,
        boundary=boundary,
        stored=before.stored,
    )


def numbered(
    shape: Shape,
    ops: Sequence[DeviceOp],
    *,
    cut: str = "",
    is_vector: bool,
    boundary: int = 0,
    stored: Stored = None,
) -> Graph:
    """Returns the graph of operations, its tensors numbered anew.

    Args:
        shape: Shape of the input.
        ops: The operations in order.
        cut: See `Graph`.
        is_vector: See `Graph`.
        boundary: Number of the tensor that becomes the input.
        stored: How it is stored.
    """
    number = {boundary: 0}
    renamed = []
    for i, op in enumerate(ops):
        inputs = tuple(number[t] for t in op.inputs)
        number[op.output] = i + 1
        renamed.append(dataclasses.replace(op, inputs=inputs, output=i + 1))
    sources = boundary, *(op.output for op in ops)
    return Graph(shape, tuple(renamed), cut, is_vector, sources, stored)
