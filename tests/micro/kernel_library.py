"""Builds the kernels with the system's compiler and calls them from NumPy.

Arrays come back from a call with guards around them, so that a kernel which
writes next to its result is found out.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "micro" / "src"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti")
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined")
GUARD = 64  # Bytes on each side of an array.


def engine_sources() -> list[str]:
    """Returns the paths of the C++ files of the engine."""
    return sorted(map(str, SOURCES.rglob("*.cpp")))


def compiler() -> str | None:
    """Returns the system's C++ compiler, or None."""
    return shutil.which(os.environ.get("CXX", "g++"))


def build(path: Path, *flags: str) -> Path:
    """Compiles kernels and harness to a shared library at `path`.

    Args:
        path: Where; what is there already is kept.
        *flags: For the compiler, after those for every build.
    """
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}")
        subprocess.run(
            [
                *(
                    compiler(),
                    "-std=gnu++11",
                    "-O2",
                    "-march=native",
                    "-shared",
                ),
                *("-fPIC", "-ffp-contract=off", *WARNINGS, f"-I{SOURCES}"),
                *flags,
                *(str(HERE / "harness.cpp"), str(HERE / "harness_int8.cpp")),
                *engine_sources(),
                *("-o", str(partial)),
            ],
            check=True,
        )
        partial.rename(path)  # Another test process may do the same.
    return path


class Shape(ctypes.Structure):
    """`tinytrain::Shape`."""

    _fields_ = tuple((n, ctypes.c_int) for n in ("height", "width", "channels"))


class Padding(ctypes.Structure):
    """`tinytrain::Padding`."""

    _fields_ = tuple(
        (n, ctypes.c_int) for n in ("top", "bottom", "left", "right")
    )


class Window(ctypes.Structure):
    """`tinytrain::Window`."""

    _fields_ = (
        ("input", Shape),
        ("output", Shape),
        ("kernel", ctypes.c_int * 2),
        ("stride", ctypes.c_int * 2),
        ("pad_top", ctypes.c_int),
        ("pad_left", ctypes.c_int),
    )


class CosineHead(ctypes.Structure):
    """`tinytrain::CosineHead`."""

    _fields_ = (
        ("depth", ctypes.c_int),
        ("classes", ctypes.c_int),
        ("scale", ctypes.c_float),
    )


class Rows(ctypes.Structure):
    """Weights of which some rows are replaced."""

    _fields_ = (
        ("base", ctypes.c_void_p),
        ("trained", ctypes.c_void_p),
        ("index", ctypes.c_void_p),
        ("count", ctypes.c_int),
    )

    def __init__(self, base, trained, channels, dtype=np.float32):
        self._arrays = [
            None if base is None else np.ascontiguousarray(base, dtype),
            np.ascontiguousarray(trained, dtype),
            np.ascontiguousarray(channels, np.uint16),
        ]
        pointers = [a if a is None else a.ctypes.data for a in self._arrays]
        super().__init__(*pointers, len(self._arrays[-1]))


class Guarded:
    """An array between guards that nobody may write to."""

    def __init__(self, shape, dtype=np.float32, fill=0):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._bytes = np.full(size + 2 * GUARD, 0xA5, np.uint8)
        self._end = GUARD + size
        inside = self._bytes[GUARD : self._end]
        self.array = inside.view(dtype).reshape(shape)
        self.array[...] = fill

    def check(self) -> np.ndarray:
        """Returns the array, whose guards are intact."""
        guards = np.r_[self._bytes[:GUARD], self._bytes[self._end :]]
        assert np.all(guards == 0xA5), "A kernel wrote next to its result."
        return self.array


def _argument(value):
    if isinstance(value, Guarded):
        return ctypes.c_void_p(value.array.ctypes.data)
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous, value.strides
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, ctypes.Structure):
        return ctypes.byref(value)
    return value


class Kernels:
    """The functions of harness.cpp."""

    def __init__(self, path: Path):
        self._library = ctypes.CDLL(str(path))
        for name in ("softmax_cross_entropy", "exp_of_negative"):
            getattr(self._library, name).restype = ctypes.c_float
        self._library.exp_of_negative.argtypes = [ctypes.c_float]
        self._library.log_above_one.argtypes = [ctypes.c_float]
        self._library.log_above_one.restype = ctypes.c_float

    def __getattr__(self, name: str):
        function = getattr(self._library, name)
        return lambda *values: function(*map(_argument, values))

    def window(self, size, in_channels, channels, kernel, stride, padding):
        """Returns the window of a layer; padding (top, bottom, left, right)."""
        window = Window(Shape(*size, in_channels))
        window.kernel[:] = kernel
        window.stride[:] = stride
        assert self.set_output(channels, Padding(*padding), window) == 0
        return window


def shape_of(shape: Shape) -> tuple[int, int, int]:
    """Returns it as NumPy has it."""
    return shape.height, shape.width, shape.channels
