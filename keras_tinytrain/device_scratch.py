"""Scratch memory of the engine's kernels, in bytes."""

from __future__ import annotations

import math

from keras_tinytrain.device_graph import DeviceOp, Shape

LANES = 4  # Channels of a depthwise kernel brought together.
PATCHED = 4  # Rows, or columns, of weights with trained inputs.
GROUP = 4  # Outputs of the int8 depthwise kernel at a time.
STREAMED_SIZE = 32768  # Numbers of a tensor from which on rows are streamed.


def words(size: int) -> int:
    """Rounds bytes up to whole words."""
    return size + -size % 4


def forward_bytes(op: DeviceOp, source: Shape, element: int) -> int:
    """Returns those of a forward pass.

    Args:
        op: The operation.
        source: Shape of its input.
        element: Bytes of a number of its input.
    """
    if op.kind != "depthwise_conv2d":
        return 0
    if element > 1:
        return element * LANES * math.prod(op.kernel)
    # Taps as pairs from either half of a word, a group's sums, a ring of rows.
    height, width = op.kernel
    pairs = width // 2 + 1
    outputs = op.shape[1] + -op.shape[1] % GROUP
    read = op.strides[1] * (outputs - 1) + 2 * pairs
    row = max(read, op.padding[2] + source[1])
    row += row % 2
    return words(8 * pairs * height + 4 * outputs + 2 * row * height)


def backward_bytes(op: DeviceOp, element: int, over: bool) -> int:
    """Returns those of an input gradient.

    Args:
        op: The operation.
        element: Bytes of one of its weights.
        over: Whether it is made where the output's lies.
    """
    if op.kind != "depthwise_conv2d":
        return 0
    plane = 4 * LANES * op.shape[0] * op.shape[1] if over else 0
    return plane + words(element * LANES * math.prod(op.kernel))


def stream_bytes(op: DeviceOp, source: Shape) -> tuple[int, int]:
    """Returns those of the rows that a depthwise layer asks for.

    Args:
        op: The depthwise layer.
        source: Shape of its input, which is never there as a whole.

    Returns:
        The bytes, and those of the row more that a pointwise layer reads.
    """
    rows = op.kernel[0] * source[1] * source[2]
    return words(rows), words(op.shape[1] * op.shape[2])


def slides_in_place(op: DeviceOp, source: Shape, element: int) -> bool:
    """Tells whether a depthwise layer may write over what it reads."""
    return (
        op.kind == "depthwise_conv2d"
        and element == 1
        and op.strides == (1, 1)
        and op.shape[:2] == source[:2]
    )
