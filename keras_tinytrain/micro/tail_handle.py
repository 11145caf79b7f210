"""The operator inside of an interpreter, with the calls of `Handle`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from keras_tinytrain.micro.calls import Calls
from keras_tinytrain.micro.interpreter import (
    arena_use,
    load_runtime,
    make_interpreter,
)
from keras_tinytrain.micro.library import load_operator
from keras_tinytrain.micro.refusals import EngineError
from keras_tinytrain.micro.tail_file import TailFile

# `Phase` of micro/src/tinytrain/tflm/tail.h, of calls with a sample.
PHASES = {
    "predict": 0,
    "observe": 1,
    "score": 2,
    "accumulate": 4,
    "revisit": 6,
}
IDLE = 10
# Inputs and outputs of the model.
_IMAGE, _CONTROL = 0, 1
_LOGITS, _LOSS, _STATUS = 0, 1, 2


class TailHandle(Calls):
    """Owns the interpreter, and sends samples through it.

    Args:
        file: The model.
        arena_bytes: Memory of the interpreter.

    Raises:
        EngineError: If the arena is too small, or the model refused.
        OSError: If there is no wheel of a known kind, or no compiler.
    """

    def __init__(self, file: TailFile, arena_bytes: int) -> None:
        runtime, self.abi = load_runtime()
        library = load_operator(self.abi)
        self._file = file
        self._interpreter = make_interpreter(runtime, file.data, arena_bytes)
        self.invoke(IDLE, 0, np.zeros((1, *file.input_shape), np.int8))
        status = self._interpreter.get_output(_STATUS)
        address = ctypes.c_void_p(status.ctypes.data)
        super().__init__(library, library.tinytrain_tail_of(address))

    def begin(self, classes: int, rate: float, momentum: float) -> None:
        """Starts a task of so many classes."""
        rates = ctypes.c_float(rate), ctypes.c_float(momentum)
        self.call("begin", classes, *rates)

    @property
    def arena(self) -> dict[str, int]:
        """Bytes of the arena, as the recording allocator says."""
        return arena_use(self._interpreter)

    def operator_bytes(self) -> tuple[int, int]:
        """Returns the operator's `persistent` and scratch."""
        return self._bytes("bytes")

    def training_bytes(
        self, counts: Sequence[int], kinds: np.ndarray | None = None
    ) -> tuple[int, int]:
        """Returns what training as many channels of each layer takes.

        Args:
            counts: One of each layer.
            kinds: The flags of each, see docs/format.md; None is 0.
        """
        return self._bytes("training_bytes", np.array(counts, np.uint16), kinds)

    @property
    def persistent_bytes(self) -> int:
        """Size of the region that holds what is learned."""
        return self.operator_bytes()[0]

    def invoke(
        self, phase: int, label: int, image: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """Runs the model.

        Args:
            phase: What the tail is to do.
            label: The control input's second number.
            image: As it is stored.

        Returns:
            The outputs: logits, loss, status.
        """
        control = np.array([phase, label], np.int32)
        self._interpreter.set_input(image, _IMAGE)
        self._interpreter.set_input(control, _CONTROL)
        self._interpreter.invoke()
        logits, loss, status = map(self._interpreter.get_output, range(3))
        return logits.ravel(), float(loss[0]), status

    def features(self, sample: np.ndarray, size: int) -> np.ndarray:
        """Returns what the frozen part makes of a sample, int8."""
        self.invoke(IDLE, 0, self._file.stored(sample))
        found = np.zeros(size, np.int8)
        self._library.tinytrain_features(
            self._object, ctypes.c_void_p(found.ctypes.data)
        )
        return found

    def call_with_features(
        self, name: str, features: np.ndarray, label: int
    ) -> float:
        """Does what `call` does, with stored features; returns the loss."""
        loss = ctypes.c_float()
        logits = ctypes.c_void_p()
        arguments = label, features, logits, ctypes.byref(loss)
        self._check(name, "run", PHASES[name], *arguments)
        return loss.value

    def call(self, name: str, *arguments) -> None:
        """Sends a sample through the model, or calls the operator alone.

        Raises:
            EngineError: If it refuses.
        """
        if name not in PHASES:
            self._check(name, name, *arguments)
            return
        sample, *rest = arguments
        label = 0 if name == "predict" else rest.pop(0)
        image = self._file.stored(sample)
        logits, loss, status = self.invoke(PHASES[name], label, image)
        if status[0]:
            raise EngineError(
                name, int(status[0]), tuple(map(int, status[1:4]))
            )
        if name == "predict":
            rest[0][:] = logits[: len(rest[0])]
        elif name == "accumulate":
            rest[0]._obj.value = loss
