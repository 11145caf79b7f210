"""TensorFlow Lite Micro itself, from its wheel."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from keras_tinytrain.micro.refusals import EngineError

# Wheels that were tested, one of each kind.
TESTED = "0.dev20260925222358", "0.dev20261023182759"
# A symbol of each layout of types, by name of the library for it.
_SYMBOLS = {
    "namespaced": "_ZN6tflite5micro25MicroContextGetEvalTensor"
    "EPKNS0_13TfLiteContextEi",
    "classic": "_ZN6tflite25MicroContextGetEvalTensorEPK13TfLiteContexti",
}
# How the interpreter says that the arena is too small, for what stays and for
# what is planned, and how the operator refuses.
_TOO_SMALL = (
    r"Requested: (\d+), available:? (\d+), missing:? (\d+)",
    r"Needed (\d+) but only (\d+) was available",
)
_REFUSED = (
    r"TinyTrainTail: code (-?\d+), requested (\d+), available (\d+), "
    r"missing (\d+)"
)


def load_runtime() -> tuple[Any, str]:
    """Returns the module `runtime` of the wheel, and how it lays out types.

    Raises:
        OSError: If there is none that can be imported, or of unknown layout.
    """
    try:
        from tflite_micro import runtime
    except ImportError as error:
        raise OSError(
            "Expected the package tflite-micro, such as "
            f"tflite-micro=={TESTED[-1]} (pip install "
            f"'keras_tinytrain[tflm]'). Received: {error}"
        ) from error
    return runtime, abi_of(runtime._runtime.__file__)


def abi_of(path: str) -> str:
    """Tells how the library of a wheel lays out types.

    Raises:
        OSError: If it is neither of the ways that are known.
    """
    library = ctypes.CDLL(path)
    for name, symbol in _SYMBOLS.items():
        if hasattr(library, symbol):
            return name
    raise OSError(
        "Expected a wheel tflite-micro of a known layout, such as "
        f"{' or '.join(TESTED)}. Received: another one, {path}"
    )


def make_interpreter(runtime: Any, model: bytes, arena_bytes: int) -> Any:
    """Makes an interpreter with the operator `TinyTrainTail`.

    Args:
        runtime: What `load_runtime` returned; the operator is loaded.
        model: The flatbuffer.
        arena_bytes: Memory for everything.

    Raises:
        EngineError: If the arena is too small, or the operator refuses the
            model, with the numbers.
        OSError: If the wheel refuses anything else.
    """
    with captured() as said:
        try:
            return runtime.Interpreter.from_bytes(
                model, ["TinyTrain_Register"], arena_bytes
            )
        except RuntimeError as error:
            failure = error
    raise _failure(said[0], str(failure))


def arena_use(interpreter: Any) -> dict[str, int]:
    """Returns what the recording allocator says, in bytes.

    Returns:
        `"total"`, `"head"` (what is planned, such as activations) and
        `"tail"` (what stays).
    """
    with captured() as said:
        interpreter.print_allocations()
    found = dict(
        re.findall(r"Arena allocation (total|head|tail) (\d+) bytes", said[0])
    )
    return {name: int(size) for name, size in found.items()}


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Collects what C++ writes to stderr; a list of one text afterwards."""
    said: list[str] = []
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            ctypes.CDLL(None).fflush(None)
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said.append(file.read().decode(errors="replace"))


def _failure(said: str, reason: str) -> Exception:
    for pattern in _TOO_SMALL:
        found = re.search(pattern, said)
        if found:
            needed, there = map(int, found.groups()[:2])
            numbers = needed, there, needed - there
            return EngineError("allocate", -1, numbers)
    found = re.search(_REFUSED, said)
    if found:
        code, *numbers = map(int, found.groups())
        return EngineError("allocate", code, tuple(numbers))
    return OSError(
        "Expected TensorFlow Lite Micro to take the model. Received: "
        f"{reason}. It says:\n{said[-2000:]}"
    )
