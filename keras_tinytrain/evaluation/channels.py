"""Trained channels as short text, for records."""

from __future__ import annotations

from collections.abc import Sequence


def to_text(
    size: int,
    channels: Sequence[int],
    *,
    by_input: bool = False,
    bias: bool = False,
) -> str:
    """Writes the trained channels of a layer.

    Args:
        size: Number of channels of the layer.
        channels: Sorted indices of the trained ones.
        by_input: Whether they are input channels.
        bias: Whether all biases train as well.

    Returns:
        The size, a colon, and the channels with runs joined; `"in "` in
        front of input channels, `" bias"` behind for the biases.

    Example:

    >>> to_text(16, (0, 1, 2, 7))
    '16:0-2,7'
    >>> to_text(8, (0, 1), by_input=True, bias=True)
    'in 8:0-1 bias'
    """
    runs: list[list[int]] = []
    for channel in channels:
        if runs and runs[-1][1] == channel - 1:
            runs[-1][1] = channel
        else:
            runs.append([channel, channel])
    parts = [f"{a}-{b}" if a < b else f"{a}" for a, b in runs]
    text = f"{size}:{','.join(parts)}"
    return f"{'in ' * by_input}{text}{' bias' * bias}"


def from_text(text: str) -> tuple[int, list[int]]:
    """Reads what `to_text` wrote: the size and the channels."""
    text = text.removeprefix("in ").removesuffix(" bias")
    size, _, parts = text.partition(":")
    channels = []
    for part in filter(None, parts.split(",")):
        first, _, last = part.partition("-")
        channels += range(int(first), int(last or first) + 1)
    return int(size), channels
