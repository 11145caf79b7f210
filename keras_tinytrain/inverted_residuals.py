"""Finds the inverted residual blocks of a network by their structure."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from keras import layers

from keras_tinytrain.graph import Op


@dataclasses.dataclass(frozen=True)
class Block:
    """An inverted residual block: expansion, depthwise layer, projection.

    Attributes:
        first: Name of its first convolution.
        last: Name of the operation behind which a module is added: the
            projection, or the BatchNormalization that follows it.
        source: Number of the tensor that it reads.
        strides: Strides of the depthwise layer.
    """

    first: str
    last: str
    source: int
    strides: tuple[int, int]


def find_blocks(ops: Sequence[Op]) -> list[Block]:
    """Finds the inverted residual blocks of a network, in order.

    Whatever it is called, a block is a depthwise layer with the pointwise
    convolution behind it, and the one in front if that ends no other block.

    Args:
        ops: The operations of `keras_tinytrain.graph.flatten`.
    """
    writers = {op.output: op for op in ops}
    readers = collections.defaultdict(list)
    for op in ops:
        for tensor in op.inputs:
            readers[tensor].append(op)
    blocks, projections = [], set()
    for project in filter(_is_pointwise, ops):
        depthwise = _layer_before(project, writers)
        if not _is_a(depthwise, layers.DepthwiseConv2D):
            continue
        projections.add(project.name)
        first, expand = depthwise, _layer_before(depthwise, writers)
        if _is_pointwise(expand) and expand.name not in projections:
            first = expand
        source = first.inputs[0]
        while _is_a(writers.get(source), layers.ZeroPadding2D):
            source = writers[source].inputs[0]
        last, behind = project, readers[project.output]
        if len(behind) == 1 and _is_a(behind[0], layers.BatchNormalization):
            last = behind[0]
        strides = tuple(depthwise.operation.strides)
        blocks.append(Block(first.name, last.name, source, strides))
    return blocks


def _layer_before(op: Op, writers: dict[int, Op]) -> Op | None:
    """Finds the convolution or dense layer that feeds an operation.

    Only what reads a single tensor lies between.
    """
    before = writers.get(op.inputs[0])
    while before and not _is_a(
        before, layers.Conv2D, layers.DepthwiseConv2D, layers.Dense
    ):
        alone = len(before.inputs) == 1
        before = writers.get(before.inputs[0]) if alone else None
    return before


def _is_pointwise(op: Op | None) -> bool:
    return _is_a(op, layers.Conv2D) and (
        op.operation.kernel_size == op.operation.strides == (1, 1)
    )


def _is_a(op: Op | None, *kinds: type) -> bool:
    """Tells whether there is an operation, and of these kinds of layers."""
    return op is not None and isinstance(op.operation, kinds)
