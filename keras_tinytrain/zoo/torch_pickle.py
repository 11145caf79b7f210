"""Reads the data of a `torch.save` archive without running its pickle.

A pickle is a program: it may call any function it can name. The published
checkpoints name four, all of them to rebuild NumPy arrays. Here those four
names stand for the small classes below, every other name is refused, and
neither torch nor NumPy's own unpickling takes part.
"""

import os
import pickle
import zipfile
from typing import Any

import numpy as np

_DTYPES = ("i1", "i4", "f4")


class _DType:
    """Stands for `numpy.dtype`: a code, and a byte order as its state."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in _DTYPES:
            raise pickle.UnpicklingError(
                f"Expected a dtype among {_DTYPES}. Received: {code!r}"
            )
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        if state[1] not in ("<", "|"):
            raise pickle.UnpicklingError(
                f"Expected little-endian data. Received: {state[1]!r}"
            )


class _Array:
    """Stands for `numpy.ndarray`: shape, dtype and bytes as its state."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        flat = np.frombuffer(data, dtype.value)
        self.value = flat.reshape(shape, order="F" if fortran else "C").copy()


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


_ALLOWED = {
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.ndarray": _Array,
    "numpy.dtype": _DType,
    "_codecs.encode": _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        key = f"{module}.{name}"
        if key not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"Expected only the globals {sorted(_ALLOWED)}; refused to "
                f"load any other. Received: {key!r}"
            )
        return _ALLOWED[key]


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value


def read_torch_pickle(path: str | os.PathLike) -> Any:
    """Returns the containers, numbers and NumPy arrays of an archive.

    Args:
        path: A zip file as `torch.save` writes it. Arrays only: a checkpoint
            that holds torch tensors is refused, as is any code.

    Returns:
        What was saved: dicts, lists, tuples, plain values and
        `numpy.ndarray`s of int8, int32 or float32.

    Raises:
        ValueError: `path` is not such a zip file.
        pickle.UnpicklingError: The pickle names a function or class that is
            not needed to rebuild an array. Nothing has been called.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(
            "Expected a zip archive as written by `torch.save`. "
            f"Received: path={os.fspath(path)!r}"
        )
    with zipfile.ZipFile(path) as archive:
        members = [n for n in archive.namelist() if n.endswith("/data.pkl")]
        if len(members) != 1:
            raise ValueError(
                "Expected one member named '.../data.pkl' in "
                f"{os.fspath(path)!r}. Received: {archive.namelist()}"
            )
        with archive.open(members[0]) as pickled:
            return _plain(_Unpickler(pickled).load())
