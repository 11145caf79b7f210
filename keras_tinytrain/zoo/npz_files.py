"""Files of arrays, one of which is JSON about the others."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_tinytrain.whole_files import whole_file

# What NumPy and zipfile raise where bytes are not what they were.
_DAMAGED = (
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def json_array(value: Mapping[str, Any]) -> np.ndarray:
    """Returns a JSON object as an array of bytes."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def write_npz(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    *,
    compress: bool = False,
) -> bytes:
    """Writes arrays, in place of the file that is there.

    The same arrays, in the same order, give the same bytes.

    Args:
        path: The file.
        arrays: The arrays by name.
        compress: Whether to make it small; noise does not get smaller.

    Returns:
        The bytes of the file.

    Raises:
        OSError: If it cannot be written. The other one is as before.
    """
    buffer = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    save(buffer, **arrays)
    data = buffer.getvalue()
    with whole_file(path) as part:
        part.write_bytes(data)
    return data


def read_npz(
    data: bytes, header: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `write_npz` wrote.

    Args:
        data: The bytes of the file.
        header: Name of the array that `json_array` made.

    Returns:
        The other arrays by name, and the JSON object.

    Raises:
        ValueError: If they are something else, or damaged.
    """
    try:
        with np.load(io.BytesIO(data)) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop(header).tobytes())
    except _DAMAGED as error:
        raise ValueError(str(error)) from error
    if not isinstance(about, dict):
        raise ValueError(f"{header}={about!r}")
    return arrays, about
