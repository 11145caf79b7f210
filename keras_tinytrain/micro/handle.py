"""The compiled engine as an object, with the memory that it works in."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence

import numpy as np

from keras_tinytrain.micro.calls import Calls
from keras_tinytrain.micro.library import load_library

OPTIMIZERS = ("sgd", "momentum", "adam", "in_place")
# What a trained layer takes in a list of the engine, on 64 bits.
_LIST_BYTES = 56


class Handle(Calls):
    """Owns what the engine does not: the blob and both regions.

    Args:
        data: The blob.
        classes: Classes of the task.
        optimizer: One of `OPTIMIZERS`.

    Raises:
        EngineError: If the engine refuses the blob.
        OSError: If the engine cannot be compiled.
    """

    def __init__(self, data: bytes, classes: int, optimizer: str):
        library = load_library()
        super().__init__(library, library.tinytrain_new())
        weakref.finalize(self, library.tinytrain_delete, self._object)
        self._blob = aligned(len(data))
        self._blob[:] = np.frombuffer(data, np.uint8)
        size = ctypes.c_size_t(len(data))
        number = OPTIMIZERS.index(optimizer)
        self.call("open", self._blob, size, classes, number)

    def init(
        self, persistent: int, work: int, *, rate: float, momentum: float
    ) -> None:
        """Gives the engine regions of so many bytes."""
        self._regions = [aligned(persistent), aligned(work)]
        arguments = [ctypes.c_float(rate), ctypes.c_float(momentum)]
        for region in self._regions:
            arguments += [region, ctypes.c_size_t(len(region))]
        self.call("init", *arguments)

    @property
    def persistent_bytes(self) -> int:
        """Size of the region that holds what is learned."""
        return len(self._regions[0])

    def training_bytes(
        self, counts: Sequence[int], kinds: np.ndarray | None = None
    ) -> tuple[int, int]:
        """Returns what training as many channels of each layer takes.

        Args:
            counts: One of each layer.
            kinds: The flags of each, see docs/format.md; None is 0.
        """
        array = np.array(counts, np.uint16)
        return self._bytes("training_bytes", array, kinds)

    def selecting_bytes(self) -> tuple[int, int]:
        """Returns what scoring and selecting take."""
        persistent, work = self._bytes("scoring_bytes")
        lists = int(self._library.tinytrain_selector_bytes(self._object))
        return persistent, max(work, lists)

    def most_bytes(self, sizes: Sequence[int]) -> tuple[int, int]:
        """Returns what is enough for every call.

        Args:
            sizes: Channels of each layer.
        """
        needed = zip(self.selecting_bytes(), self.training_bytes(sizes))
        persistent, work = (max(pair) for pair in needed)
        lists = (_LIST_BYTES + 2) * len(sizes) + 2 * sum(sizes)
        return persistent, max(work, lists)

    def call(self, name: str, *arguments) -> None:
        """Calls a function of engine.cpp; arrays are passed as pointers.

        Raises:
            EngineError: If the engine refuses.
        """
        self._check(name, name, *arguments)


def aligned(size: int) -> np.ndarray:
    """Returns bytes at a multiple of 8, all 0."""
    return np.zeros(-(-size // 8) or 1, np.uint64).view(np.uint8)[:size]
