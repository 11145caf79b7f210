"""Asks a device on a serial line, as often as it takes."""

from __future__ import annotations

import hashlib
import struct
import time

import numpy as np

from keras_tinytrain.micro.refusals import EngineError
from keras_tinytrain.micro.serial_frames import Frame, FrameReader
from keras_tinytrain.micro.serial_port import Port

VERSION = 1
# `Request` of micro/src/tinytrain/serial_session.h.
REQUESTS = {
    name: i + 1
    for i, name in enumerate(
        (
            *("about", "init", "begin_scoring", "keep", "observe", "score"),
            *("select", "plan", "accumulate", "update", "revisit", "settle"),
            *("predict", "save", "load"),
        )
    )
}
OF_KEPT, ANSWER = 0x40, 0x80
TOO_SMALL = -1
TRIES = 6
_STATUS = struct.Struct("<i3I")
_ABOUT = struct.Struct("<HHQ7I")
_ABOUT_FIELDS = (
    *("version", "flags", "base", "blob_bytes", "crc", "classes"),
    *("payload_bytes", "kept_bytes", "persistent_bytes", "work_bytes"),
)


class SerialHandle:
    """Sends requests and samples; has the calls of `Handle`.

    Args:
        port: The line.
        seconds: How long to wait for an answer, before asking again.
        as_pixels: Whether samples that are bytes go as bytes.
        stored: Whether samples are stored int8 numbers.

    Attributes:
        about: What the device has said of itself, by field.
        sent_bytes: Bytes that went over the line.
        repeated: How many requests went more than once.

    Raises:
        TimeoutError: If no device answers.
        ValueError: If it speaks another version.
    """

    def __init__(
        self, port: Port, seconds: float, *, as_pixels: bool, stored: bool
    ) -> None:
        self._port, self._seconds = port, seconds
        self._as_pixels, self._stored = as_pixels, stored
        self._reader = FrameReader()
        self._number = 0
        self._kept: dict[bytes, int] = {}
        self._kept_size = 0
        self.sent_bytes = self.repeated = 0
        found = self.ask("about")
        if len(found) < _ABOUT.size or found[:2] != struct.pack("<H", VERSION):
            raise ValueError(
                f"Expected a device with version {VERSION} of docs/serial.md. "
                f"Received: version {int.from_bytes(found[:2], 'little')}"
            )
        values = _ABOUT.unpack_from(found)
        self.about = dict(zip(_ABOUT_FIELDS, values, strict=True))

    def ask(
        self, name: str, argument: int = 0, payload: bytes = b"", more: int = 0
    ) -> bytes:
        """Returns what the device answers, after its status.

        Args:
            name: One of `REQUESTS`.
            argument: As the request has it.
            payload: As the request has it.
            more: Added to the type of the request.

        Raises:
            EngineError: If the device refuses.
            TimeoutError: If it does not answer, or no frame gets through.
        """
        # 0 is for what every session begins with.
        self._number = self._number % 255 + 1 if name != "about" else 0
        frame = Frame(REQUESTS[name] + more, self._number, argument, payload)
        data = frame.encode()
        for attempt in range(TRIES):
            self._port.write(data)
            self.sent_bytes += len(data)
            self.repeated += attempt > 0
            answer = self._answer(frame)
            if answer is not None:
                code, *numbers = _STATUS.unpack_from(answer.payload)
                if code:
                    raise EngineError(name, code, tuple(numbers))
                return answer.payload[_STATUS.size :]
        raise TimeoutError(
            f"Expected an answer within {self._seconds:g} s, {TRIES} times. "
            f"Received: none to {name!r}; is AdaptToTask on the device, and "
            "is this its port?"
        )

    def call(self, name: str, *arguments) -> None:
        """Does what the function of engine.cpp does.

        Raises:
            EngineError: If the device refuses.
        """
        if name in ("observe", "score", "accumulate", "revisit"):
            sample, label, *results = arguments
            found = self._send(name, sample, label)
            if results:
                results[0]._obj.value = struct.unpack("<f", found)[0]
        elif name == "predict":
            sample, logits = arguments
            logits[:] = np.frombuffer(self._send(name, sample, 0), "<f4")
        elif name == "select":
            counts, chosen = arguments
            found = np.frombuffer(self.ask(name), "<u2")
            counts[:] = found[: len(counts)]
            channels = found[len(counts) :]
            chosen[: len(channels)] = channels
        elif name == "plan":
            counts, chosen, kinds = arguments
            if kinds is not None:
                raise ValueError(
                    "Expected a plan of output channels, as frames have it. "
                    "Received: inputs, or biases alone. Export it with the "
                    "blob"
                )
            lists = np.concatenate([counts, chosen[: counts.sum()]])
            self.ask(name, payload=lists.astype("<u2").tobytes())
        else:
            self.ask(name)

    def init(self, classes: int, learning_rate: float) -> None:
        """Starts a task: the device forgets what it has learned."""
        self._kept.clear()
        self.ask("init", classes, struct.pack("<f", learning_rate))

    def _send(self, name: str, sample: np.ndarray, argument: int) -> bytes:
        """Sends a sample, or says which one it is of those sent before."""
        payload = self._payload(sample)
        key = hashlib.blake2b(payload, digest_size=16).digest()
        place = self._kept.get(key)
        if place is None and name == "observe":
            place = self._keep(key, payload)
        if place is None:
            return self.ask(name, argument, payload)
        return self.ask(name, argument, struct.pack("<H", place), OF_KEPT)

    def _keep(self, key: bytes, payload: bytes) -> int | None:
        """Has the device keep a sample, if it has room."""
        place = len(self._kept)
        size = self._kept_size if place else len(payload)
        room = (place + 1) * size <= self.about["kept_bytes"]
        if len(payload) != size or not room or place >= 2**16:
            return None
        self.ask("keep", place, payload)
        self._kept[key], self._kept_size = place, size
        return place

    def _payload(self, sample: np.ndarray) -> bytes:
        if self._stored:
            return sample.astype(np.int8).tobytes()
        if self._as_pixels:
            pixels = sample.clip(0, 255).astype(np.uint8)
            if np.array_equal(pixels, sample):
                return pixels.tobytes()
        return sample.astype("<f4").tobytes()

    def _answer(self, request: Frame) -> Frame | None:
        """Returns the answer, or None if it is time to ask again."""
        end = time.monotonic() + self._seconds
        while (left := end - time.monotonic()) > 0:
            data = self._port.read(left)
            if not data:
                return None
            for frame in self._reader.take(data):
                if frame.type == ANSWER and _is_status(frame):
                    # The device could not read what was sent.
                    code, *numbers = _STATUS.unpack_from(frame.payload)
                    if code == TOO_SMALL and numbers[0] == len(request.payload):
                        raise EngineError("a request", code, tuple(numbers))
                    return None
                expected = request.type | ANSWER, request.number
                if (frame.type, frame.number) == expected and _is_status(frame):
                    return frame
        return None


def _is_status(frame: Frame) -> bool:
    return len(frame.payload) >= _STATUS.size
