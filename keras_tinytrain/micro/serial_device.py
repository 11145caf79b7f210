"""A device on a serial port, driven from Python."""

from __future__ import annotations

import os
import pathlib
import re

from keras_tinytrain.export.blob import MAGIC, read_blob
from keras_tinytrain.micro.device import Channels, Device
from keras_tinytrain.micro.serial_handle import SerialHandle
from keras_tinytrain.micro.serial_port import Port, open_port
from keras_tinytrain.plan import UpdatePlan

_LASTS, _PREDICTS = 1, 2


class SerialDevice(Device):
    """A real device, with the calls of `Engine`, over docs/serial.md.

    The sketch `AdaptToTask` is what answers. A sample is what the blob takes:
    an image or, of a tail, its features. The device keeps those it observes
    as long as it has room, and they cross the line once.

    Args:
        blob: File of the blob that is on the device, or the C header that was
            compiled, or the folder that `export_micro` has written.
        port: Name of the serial port, or what has been opened.
        baud: Bits a second.
        classes: Classes of the task. None are as many as were exported.
        learning_rate: Step size of Adam. None is the rule of
            `keras_tinytrain.fit`.
        seconds: How long to wait for an answer, before asking again.

    Attributes:
        blob: What is on the device.
        about: What the device has said of its memory, by field.
        lasts: Whether what `save` writes is there without power too.
        predicts: Whether the device had learned something, `classes` of
            `about`, before this connection.

    Raises:
        OSError: If the port or the blob cannot be opened.
        TimeoutError: If no device answers.
        ValueError: If another blob is on the device, or an argument is none
            of the above.

    Example:

    >>> from keras_tinytrain.micro import SerialDevice
    >>> device = SerialDevice("build/task", "/dev/ttyACM0")
    >>> for sample, label in zip(samples, labels):
    ...     device.observe(sample, label)
    >>> for sample, label in zip(samples, labels):
    ...     device.score(sample, label)
    >>> device.plan(device.select())
    >>> losses = device.train(samples, labels, steps=40)
    >>> device.settle(samples, labels)
    >>> logits = device.predict(sample)
    >>> device.save()
    """

    def __init__(
        self,
        blob: str | os.PathLike,
        port: str | Port,
        *,
        baud: int = 115_200,
        classes: int | None = None,
        learning_rate: float | None = None,
        seconds: float = 3.0,
    ) -> None:
        data = read_exported(blob)
        self.blob = read_blob(data)
        super().__init__(self.blob, classes)
        self._port = open_port(port, baud) if isinstance(port, str) else port
        self._rate = 0.0 if learning_rate is None else learning_rate
        stored = bool(self.blob.tensors[0]["type"])
        self._handle = SerialHandle(
            self._port,
            seconds,
            as_pixels=not self.blob.network["input_kind"] and not stored,
            stored=stored,
        )
        self.about = self._handle.about
        # Its header holds the CRC of all other bytes.
        expected = int.from_bytes(data[16:20], "little")
        if self.about["crc"] != expected:
            raise ValueError(
                f"Expected the export of {os.fspath(blob)!r} on the device, "
                f"{expected:08x}. Received: {self.about['crc']:08x}; compile "
                "the sketch with this header"
            )
        self.lasts = bool(self.about["flags"] & _LASTS)
        self.predicts = bool(self.about["flags"] & _PREDICTS)

    @property
    def sent_bytes(self) -> int:
        """Bytes that went over the line."""
        return self._handle.sent_bytes

    @property
    def repeated(self) -> int:
        """How many requests went more than once."""
        return self._handle.repeated

    def begin_scoring(self) -> None:
        """Starts anew, without a plan. `observe` does it of a new device."""
        self._handle.init(self.classes, self._rate)
        super().begin_scoring()

    def plan(self, channels: Channels | UpdatePlan) -> None:
        """Makes room for training, from the weights of the blob.

        Args:
            channels: What trains, as in `Engine.plan`.
        """
        if self._is_new:
            self._handle.init(self.classes, self._rate)
        super().plan(channels)

    def save(self) -> None:
        """Has the device save what it has learned, where it can.

        Raises:
            EngineError: If there is no plan or nothing was observed, or the
                place is too small, with the bytes.
        """
        self._handle.call("save")

    def load(self) -> None:
        """Has the device learn what it has saved, for so many classes.

        Raises:
            EngineError: If there is nothing, or it is of another model or
                number of classes.
        """
        self._handle.init(self.classes, self._rate)
        self._handle.call("load")
        self._is_new = False

    def close(self) -> None:
        """Ends the connection. The device keeps what it has learned."""
        self._port.close()


def read_exported(path: str | os.PathLike) -> bytes:
    """Returns the bytes of a blob: a file, a C header, or a folder's blob.

    Raises:
        OSError: If it cannot be read.
        ValueError: If there is not one blob.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        blobs = sorted(path.glob("*.ttnb"))
        if len(blobs) != 1:
            raise ValueError(
                "Expected a folder of `export_micro`, with one .ttnb. "
                f"Received: {path} with {[b.name for b in blobs]}"
            )
        (path,) = blobs
    data = path.read_bytes()
    if data[:4] == MAGIC:
        return data
    numbers = re.search(rb"= \{([\d,\s]+)\}", data)
    if numbers is None:
        raise ValueError(
            f"Expected a .ttnb or a header of `export_micro`. Received: {path}"
        )
    return bytes(map(int, numbers[1].split(b",")))
