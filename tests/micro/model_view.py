"""Builds the view of a blob in C++ and looks through it from Python."""

from __future__ import annotations

import ctypes
import os
import pathlib
import subprocess

import numpy as np

from keras_tinytrain.export import layout

HERE = pathlib.Path(__file__).parent
SOURCE = HERE.parents[1] / "micro" / "src"
SEEDS = sorted((HERE / "fuzz" / "seeds").glob("*.ttnb"))
FILES = [
    SOURCE / "tinytrain" / f"{name}.cpp"
    for name in ("model", "model_checks", "crc32")
]
STRICT = ["-Wall", "-Wextra", "-Wshadow", "-Werror"]
DEVICE = ["-fno-exceptions", "-fno-rtti"]


def flaws():
    """Reads the names of the flaws, in order."""
    text = (SOURCE / "tinytrain" / "model.h").read_text()
    body = text.split("enum class Flaw : uint8_t {")[1].split("}")[0]
    lines = (line.strip() for line in body.splitlines())
    return [line.split()[0].strip(",") for line in lines if line[:1] == "k"]


FLAWS = flaws()


def build(compiler, output, *arguments):
    command = [compiler, f"-I{SOURCE}", f"-I{HERE}", *arguments]
    subprocess.run([*command, "-o", output], check=True)
    return output


def load_library(compiler, folder):
    """Builds the view once per folder, which test processes may share."""
    path = folder / "model.so"
    if not path.exists():
        partial = folder / f"model.{os.getpid()}"
        flags = ["-std=gnu++11", "-O2", "-shared", "-fPIC", *STRICT, *DEVICE]
        build(compiler, partial, *flags, HERE / "model_capi.cpp", *FILES)
        partial.rename(path)
    library = ctypes.CDLL(str(path))
    for name in ("record", "weights", "name", "indices"):
        getattr(library, f"model_{name}").restype = ctypes.c_void_p
    library.crc32_in_parts.restype = ctypes.c_uint32
    return library


class View:
    """The bytes of a blob where C++ can see them, at a multiple of 16."""

    def __init__(self, library, data, shift=0):
        self.library = library
        self.buffer = ctypes.create_string_buffer(len(data) + 32)
        start = ctypes.addressof(self.buffer)
        self.address = start + -start % 16 + shift
        ctypes.memmove(self.address, bytes(data), len(data))
        self.size = len(data)

    def call(self, name, *arguments):
        function = getattr(self.library, f"model_{name}")
        address = ctypes.c_void_p(self.address)
        return function(address, ctypes.c_size_t(self.size), *arguments)

    def open(self):
        """Returns the flaw, record, expected and received."""
        refusal = (ctypes.c_uint32 * 4)()
        is_open = self.call("open", refusal)
        flaw, *numbers = refusal
        assert is_open == (flaw == 0)
        return FLAWS[flaw], *numbers

    def status(self):
        """Returns the code and the three numbers of `Status`."""
        status = (ctypes.c_int32 * 4)()
        self.call("status", status)
        return tuple(status)

    def counts(self):
        counts, base = (ctypes.c_uint32 * 4)(), ctypes.c_uint64()
        self.call("counts", counts, ctypes.byref(base))
        return list(counts), base.value

    def record(self, section, record, i):
        at = self.call("record", layout.SECTIONS[section], i)
        return record.unpack(ctypes.string_at(at, record.size))

    def numbers(self, layer, like, *, bias):
        """Returns as many weights, of the same type, and where they lie."""
        at = self.call("weights", layer, int(bias))
        return np.frombuffer(ctypes.string_at(at, like.nbytes), like.dtype), at
