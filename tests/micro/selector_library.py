"""The selector of the engine, called from Python."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
from kernel_library import SOURCES, Guarded, engine_sources

from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob

HERE = Path(__file__).parent
CODES = {
    0: "ok",
    -1: "too small",
    -2: "misaligned",
    -3: "bad argument",
    -8: "not finite",
    -13: "memory budget",
    -14: "macs budget",
}
ADAM = 2


def build_library(compiler: str, path: Path) -> ctypes.CDLL:
    """Compiles selector_capi.cpp; what is undefined stops the process."""
    flags = ["-std=gnu++11", "-Wall", "-Wextra", "-Werror", "-fno-exceptions"]
    flags += ["-g", "-O1", "-shared", "-fPIC", f"-I{SOURCES}"]
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    files = [HERE / "selector_capi.cpp", *engine_sources()]
    subprocess.run([compiler, *flags, *files, "-o", path], check=True)
    library = ctypes.CDLL(str(path))
    library.selector_bytes.restype = ctypes.c_uint64
    return library


def record_at(data: bytes, section: str, i: int = 0) -> int:
    """Returns where a record of a section lies."""
    header = layout.HEADER.unpack(data)
    for k in range(header["sections"]):
        at = header["header_size"] + layout.SECTION.size * k
        row = layout.SECTION.unpack(data, at)
        if row["kind"] == layout.SECTIONS[section]:
            return row["offset"] + i * row["stride"]
    raise KeyError(section)


def with_training(data: bytes, record: bytes) -> bytes:
    """Returns a blob with another record of training."""
    at = record_at(data, "training")
    return layout.seal(data[:at] + record + data[at + len(record) :])


def with_candidates(data: bytes, names: set[str]) -> bytes:
    """Returns a blob of which these layers may train."""
    for i, layer in enumerate(read_blob(data).layers):
        at = record_at(data, "layers", i)
        fields = layout.LAYER.unpack(data, at)
        flags = fields["flags"] & ~layout.CANDIDATE
        flags |= layout.CANDIDATE * (layer["name"] in names)
        row = layout.LAYER.pack(**fields | {"flags": flags})
        data = data[:at] + row + data[at + len(row) :]
    return layout.seal(data)


class Selector:
    """What has the blob of a network and chooses what trains."""

    def __init__(self, library: ctypes.CDLL, data: bytes):
        self._library = library
        self._blob = np.zeros(len(data) // 8 + 2, np.uint64)
        ctypes.memmove(self._blob.ctypes.data, data, len(data))
        self._where = (
            ctypes.c_void_p(self._blob.ctypes.data),
            ctypes.c_size_t(len(data)),
        )
        self.layers = read_blob(data).layers

    @property
    def bytes(self) -> int:
        """Bytes of `work`."""
        return self._library.selector_bytes(*self._where)

    def flat(self, scores: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the scores of all candidates, one after the other."""
        parts = [np.zeros(0)]
        for layer in self.layers:
            if layer["flags"] & layout.CANDIDATE:
                parts.append(scores[layer["name"]])
        return np.concatenate(parts).astype(np.float32)

    def select(
        self,
        scores: dict[str, np.ndarray],
        *,
        classes: int = 2,
        optimizer: int = ADAM,
        missing: int = 0,
        shift: int = 0,
    ):
        """Returns the channels by layer, or the status if it is refused.

        Args:
            scores: By layer; of candidates, all of them.
            classes: Of the task.
            optimizer: By number.
            missing: By how many bytes `work` is too small.
            shift: By how many bytes it is misaligned.
        """
        work = Guarded(self.bytes + shift, np.uint8, fill=0xA5)
        counts = np.zeros(len(self.layers), np.uint16)
        flat = self.flat(scores)
        channels = np.zeros(len(flat) + 1, np.uint16)
        status = (ctypes.c_int64 * 4)()
        self._library.selector_select(
            *self._where,
            classes,
            optimizer,
            *(ctypes.c_void_p(flat.ctypes.data),),
            ctypes.c_void_p(work.array.ctypes.data + shift),
            ctypes.c_size_t(self.bytes - missing),
            status,
            ctypes.c_void_p(counts.ctypes.data),
            ctypes.c_void_p(channels.ctypes.data),
        )
        work.check()
        code, *numbers = status
        if code:
            return CODES[code], *numbers
        parts = np.split(channels, np.cumsum(counts))
        names = [layer["name"] for layer in self.layers]
        return {
            name: tuple(part.tolist())
            for name, part in zip(names, parts)
            if len(part)
        }
