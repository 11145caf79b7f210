"""Calls of a compiled library, about one object of its."""

from __future__ import annotations

import ctypes

import numpy as np

from keras_tinytrain.micro.refusals import EngineError


class Calls:
    """Calls functions whose first argument is an object of the library.

    Args:
        library: The library; its functions are called `tinytrain_NAME`.
        address: Of the object.
    """

    def __init__(self, library: ctypes.CDLL, address: int) -> None:
        self._library, self._object = library, ctypes.c_void_p(address)

    def _check(self, name: str, function: str, *arguments) -> None:
        """Calls a function that returns a status, as `name` in messages.

        Raises:
            EngineError: If the status is a refusal.
        """
        numbers = np.zeros(3, np.uint32)
        code = self._run(function, *arguments, numbers)
        if code:
            raise EngineError(name, code, tuple(map(int, numbers)))

    def _bytes(self, name: str, *arrays: np.ndarray | None) -> tuple[int, int]:
        """Returns the sizes of both regions that a function writes."""
        found = np.zeros(2, np.uint64)
        self._run(name, *arrays, found)
        return int(found[0]), int(found[1])

    def _run(self, name: str, *arguments) -> int:
        """Calls a function; arrays are passed as pointers."""
        function = getattr(self._library, f"tinytrain_{name}")
        pointers = [
            ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a
            for a in arguments
        ]
        return function(self._object, *pointers)
