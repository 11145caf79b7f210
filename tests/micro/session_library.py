"""A device with a session, on this machine, and lines to it."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
from kernel_library import SANITIZE, SOURCES, WARNINGS, engine_sources

HERE = Path(__file__).parent
# Bytes of persistent, work, payload, kept, slot.
ENOUGH = (60_000, 60_000, 3072, 0, 20_000)


def build(compiler: str, path: Path, *flags: str) -> Path:
    """Compiles session_capi.cpp with the engine; what is there is kept."""
    if path.exists():
        return path
    sources = [HERE / "session_capi.cpp", *engine_sources()]
    subprocess.run(
        [
            *(compiler, "-std=gnu++11", *WARNINGS, "-Wshadow"),
            *(f"-I{SOURCES}", *flags, *map(str, sources), "-o", str(path)),
        ],
        check=True,
    )
    return path


def play_back(program: Path, blob: Path, sizes, data: bytes) -> bytes:
    """Returns what a device answers to all that a host has sent."""
    result = subprocess.run(
        [program, blob, *map(str, sizes)], input=data, capture_output=True
    )
    assert result.returncode == 0, result.stderr.decode()[-4000:]
    return result.stdout


def build_sanitized(compiler: str, path: Path) -> Path:
    """Compiles the program that `play_back` runs."""
    return build(compiler, path, *SANITIZE, "-fno-sanitize-recover=all")


class Line:
    """A port to a device that is made here; nothing takes time.

    Args:
        library: What was compiled with `-shared`.
        blob: What the device runs.
        sizes: Of its memory.

    Attributes:
        sent: All bytes that have reached the device.
    """

    def __init__(self, library: Path, blob: bytes, sizes=ENOUGH) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.session_new.restype = ctypes.c_void_p
        numbers = (ctypes.c_uint32 * 5)(*sizes)
        found = self._library.session_new(blob, len(blob), numbers)
        self._device = ctypes.c_void_p(found)
        self.sent = bytearray()
        self._answer = b""

    def read(self, seconds: float) -> bytes:
        answer, self._answer = self._answer, b""
        return answer

    def write(self, data: bytes) -> None:
        self.sent += data
        size = self._library.session_take(self._device, data, len(data))
        found = np.zeros(size, np.uint8)
        address = ctypes.c_void_p(found.ctypes.data)
        self._library.session_read(self._device, address)
        self._answer += found.tobytes()

    def close(self) -> None:
        self._library.session_delete(self._device)

    def restore(self) -> int:
        """Returns the code of `Restore`."""
        return self._library.session_restore(self._device)


class BadLine:
    """A line on which something happens to a share of all messages.

    Args:
        line: What is behind it.
        seed: Of what happens.
        share: How many messages something happens to, each way.
    """

    def __init__(self, line: Line, seed: int, share: float) -> None:
        self._line, self._share = line, share
        self._rng = np.random.default_rng(seed)

    def read(self, seconds: float) -> bytes:
        return self._damaged(self._line.read(seconds))

    def write(self, data: bytes) -> None:
        self._line.write(self._damaged(data))

    def close(self) -> None:
        self._line.close()

    def _damaged(self, data: bytes) -> bytes:
        if not data or self._rng.random() > self._share:
            return data
        place = int(self._rng.integers(len(data)))
        other = bytes(self._rng.integers(0, 256, 5, np.uint8))
        return [
            data[:place],
            data[place:],
            data[:place] + other + data[place + 5 :],
            data[:place] + other + data[place:],
            b"",
        ][int(self._rng.integers(5))]
