"""How much padding a window needs on each side."""

from __future__ import annotations

# Rows at the top and bottom, columns left and right.
Padding = tuple[int, int, int, int]
Pair = tuple[int, int]


def no_padding(shape: Pair, kernel: Pair, strides: Pair) -> Padding:
    """Pads nothing: `padding="valid"`."""
    del shape, kernel, strides
    return 0, 0, 0, 0


def same_padding(shape: Pair, kernel: Pair, strides: Pair) -> Padding:
    """Pads to `ceil(size / stride)` outputs, as TensorFlow does.

    An odd number leaves the larger part at the bottom and right.

    Args:
        shape: Height and width of the input.
        kernel: Height and width of the window.
        strides: Its steps down and across.
    """
    sides = []
    for size, window, stride in zip(shape, kernel, strides):
        outputs = -(-size // stride)
        missing = max((outputs - 1) * stride + window - size, 0)
        sides += [missing // 2, missing - missing // 2]
    return tuple(sides)


def total(a: Padding, b: Padding) -> Padding:
    """Adds two paddings side by side."""
    return tuple(x + y for x, y in zip(a, b))
