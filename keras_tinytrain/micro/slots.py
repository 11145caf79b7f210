"""Files with checkpoints, as the two slots that the engine knows."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from keras_tinytrain.export import layout
from keras_tinytrain.whole_files import whole_file


def empty_slots(persistent_bytes: int, layers: int) -> np.ndarray:
    """Returns two slots that hold whatever is learned.

    Args:
        persistent_bytes: What holds it in the engine.
        layers: Layers of the blob: each may have a row, and padding.
    """
    size = layout.CHECKPOINT.size + (layout.TRAINED.size + 4) * layers
    return np.zeros(2 * (size + persistent_bytes), np.uint8)


def write_first(slots: np.ndarray, path: str | os.PathLike) -> None:
    """Writes the checkpoint in the first slot to a file of its own.

    Raises:
        OSError: If it cannot be written. What was in the file is safe.
    """
    data = slots.tobytes()
    with whole_file(path) as part:
        part.write_bytes(data[: layout.CHECKPOINT.unpack(data)["size"]])


def read_slots(path: str | os.PathLike) -> np.ndarray:
    """Reads a checkpoint, or both slots of a device one after the other."""
    data = pathlib.Path(path).read_bytes()
    least = layout.CHECKPOINT.size
    half = len(data) // 2
    # The header of one checkpoint alone names more than half of the file.
    if len(data) < least or layout.CHECKPOINT.unpack(data)["size"] > half:
        parts = data, b""
    else:
        parts = data[:half], data[half : 2 * half]
    size = max(least, *map(len, parts))
    both = b"".join(part.ljust(size, b"\0") for part in parts)
    return np.frombuffer(both, np.uint8).copy()
