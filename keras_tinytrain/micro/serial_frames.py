"""Frames of docs/serial.md: messages on a line that garbles bytes."""

from __future__ import annotations

import dataclasses
import struct
import zlib

MARK = b"\0"
_HEADER = struct.Struct("<BBHI")
_CRC = struct.Struct("<I")
# A block of so many bytes has no zero behind it.
_FULL = 254


@dataclasses.dataclass(frozen=True)
class Frame:
    """A message.

    Attributes:
        type: What it asks for or answers.
        number: Of the request; its answer has the same.
        argument: Depends on the type.
        payload: Depends on the type.
    """

    type: int
    number: int = 0
    argument: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        """Returns the bytes on the line."""
        size = len(self.payload)
        data = _HEADER.pack(self.type, self.number, self.argument, size)
        data += self.payload
        return MARK + stuff(data + _CRC.pack(zlib.crc32(data)))


def stuff(data: bytes) -> bytes:
    """Returns bytes without zeros that stand for `data`.

    Runs without a zero, each behind a byte with their length + 1; a zero
    follows where that is less than 255, but not at the end.

    Reference:
        Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM
        Transactions on Networking 7 (1999).
    """
    blocks = []
    for run in data.split(MARK):
        # A run that fills its last block needs an empty one for its zero.
        for start in range(0, len(run) + 1, _FULL):
            part = run[start : start + _FULL]
            blocks.append(bytes([len(part) + 1]) + part)
    if len(blocks) > 1 and blocks[-1] == b"\1" and blocks[-2][0] == _FULL + 1:
        blocks.pop()  # No zero follows at the end.
    return b"".join(blocks)


class FrameReader:
    """Finds frames in bytes as they come.

    Args:
        most_bytes: Longest payload.

    Attributes:
        refused: How many frames were cut off, garbled or too long.
    """

    def __init__(self, most_bytes: int = 2**20) -> None:
        self.refused = 0
        self._most_bytes = most_bytes
        # What was decoded of a frame, None outside.
        self._data: bytearray | None = None
        self._left, self._zero = 0, False

    def take(self, data: bytes) -> list[Frame]:
        """Returns the frames that the next bytes of the line complete."""
        frames = [self._take(byte) for byte in data]
        return [frame for frame in frames if frame is not None]

    def _take(self, byte: int) -> Frame | None:
        if byte == 0:
            self.refused += bool(self._data or self._left)
            self._data, self._left, self._zero = bytearray(), 0, False
            return None
        if self._data is None:
            return None
        if self._left:
            self._left -= 1
            self._data.append(byte)
            return self._frame(self._data)
        is_behind, self._zero = self._zero, byte <= _FULL
        self._left = byte - 1
        if not is_behind:
            return None
        self._data.append(0)
        return self._frame(self._data)

    def _frame(self, data: bytearray) -> Frame | None:
        """Returns the frame that is complete now, if there is one."""
        if len(data) < _HEADER.size:
            return None
        kind, number, argument, size = _HEADER.unpack_from(data)
        end = _HEADER.size + size
        if size <= self._most_bytes and len(data) < end + _CRC.size:
            return None
        self._data = None
        whole = size <= self._most_bytes and self._left == 0
        if not whole or _CRC.unpack_from(data, end)[0] != zlib.crc32(
            data[:end]
        ):
            self.refused += 1
            return None
        return Frame(kind, number, argument, bytes(data[_HEADER.size : end]))
