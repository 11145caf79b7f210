"""Opens what a device is connected to."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
from typing import Protocol


class Port(Protocol):
    """A line to a device."""

    def read(self, seconds: float) -> bytes:
        """Returns bytes that have come, none if none come in that time."""

    def write(self, data: bytes) -> None:
        """Sends bytes."""

    def close(self) -> None:
        """Ends the connection."""


class SerialPort:
    """A port that pyserial opens.

    Args:
        path: Its name, such as `"/dev/ttyACM0"` or `"COM3"`.
        baud: Bits a second; boards with USB of their own ignore it.

    Raises:
        OSError: If it cannot be opened, with the ports there are.
    """

    def __init__(self, path: str, baud: int) -> None:
        import serial
        from serial.tools import list_ports

        try:
            self._port = serial.Serial(path, baud)
        except (OSError, ValueError) as error:
            names = [port.device for port in list_ports.comports()]
            raise OSError(
                f"Expected a serial port, here {names or 'there are none'}. "
                f"Received: {path!r} ({error})"
            ) from error

    def read(self, seconds: float) -> bytes:
        """Returns bytes that have come."""
        self._port.timeout = seconds
        return self._port.read(max(1, self._port.in_waiting))

    def write(self, data: bytes) -> None:
        """Sends bytes."""
        self._port.write(data)

    def close(self) -> None:
        """Ends the connection."""
        self._port.close()


class FilePort:
    """A terminal, or another file that goes both ways, as it is set up.

    Args:
        path: Of the file.

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        import tty

        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise OSError(
                f"Expected a serial port. Received: {path!r} ({error.strerror})"
            ) from error
        if os.isatty(self._file):
            tty.setraw(self._file)

    def read(self, seconds: float) -> bytes:
        """Returns bytes that have come."""
        ready, _, _ = select.select([self._file], [], [], seconds)
        if not ready:
            return b""
        data = os.read(self._file, 4096)
        if not data:
            raise ConnectionError("Expected a device. Received: the end of it")
        return data

    def write(self, data: bytes) -> None:
        """Sends bytes."""
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Ends the connection."""
        with contextlib.suppress(OSError):
            os.close(self._file)


def open_port(path: str, baud: int = 115_200) -> Port:
    """Opens a port by pyserial or, without it, as a file of the system.

    Args:
        path: Its name.
        baud: Bits a second, for pyserial alone.

    Raises:
        OSError: If it cannot be opened.
    """
    if importlib.util.find_spec("serial"):
        return SerialPort(path, baud)
    if os.name != "posix":
        raise OSError(
            "Expected the package pyserial (pip install '.[serial]'). "
            "Received: none"
        )
    return FilePort(path)
