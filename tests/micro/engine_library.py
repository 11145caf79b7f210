"""Builds the engine with the system's compiler and drives it from NumPy."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from pathlib import Path

import numpy as np
from kernel_library import SOURCES, WARNINGS, compiler

HERE = Path(__file__).parent
OK, TOO_SMALL, MISALIGNED, BAD_ARGUMENT = 0, -1, -2, -3
NOT_FINITE, WRONG_STATE, STORAGE, WORSE = -8, -9, -11, -15
SGD, MOMENTUM, ADAM, IN_PLACE = range(4)
IN_WORK = 16  # Added to these: the sample lies in `work`.
GUARD = 64  # Bytes on each side of a region.


def build(path: Path, *flags: str) -> Path:
    """Compiles engine, `engine_capi.cpp` and `count_macs.cpp`.

    Args:
        path: Where; what is there already is kept.
        *flags: For the compiler, after those for every build.
    """
    if path.exists():
        return path
    counters = HERE / "count_macs.cpp"
    text = re.sub(r'"\s*\\\s*"', "", counters.read_text())
    symbols = re.findall(r'"(_ZN\w+)"', text)
    sources = [
        source
        for source in sorted(map(str, SOURCES.rglob("*.cpp")))
        if not source.endswith("_reference.cpp")
    ]
    partial = path.with_suffix(f".{os.getpid()}")
    subprocess.run(
        [
            *(compiler(), "-std=gnu++11", "-O2", "-mfma", "-shared", "-fPIC"),
            *(*WARNINGS, "-Wshadow", f"-I{SOURCES}", *flags),
            *(f"-Wl,--wrap={symbol}" for symbol in symbols),
            *(str(HERE / "engine_capi.cpp"), str(counters), *sources),
            *("-o", str(partial)),
        ],
        check=True,
    )
    partial.rename(path)
    return path


class Region:
    """Memory of exactly so many bytes, between guards that stay as they are."""

    def __init__(self, size: int):
        self.size = size
        self._bytes = np.full(size + 2 * GUARD + 8, 0xA5, np.uint8)
        shift = -(self._bytes.ctypes.data + GUARD) % 8
        self._begin = GUARD + shift
        self.bytes = self._bytes[self._begin :][:size]
        self.address = ctypes.c_void_p(self._bytes.ctypes.data + self._begin)

    def check(self) -> None:
        """Fails if anything next to the region was written."""
        behind = self._bytes[self._begin + self.size :]
        guards = np.r_[self._bytes[: self._begin], behind]
        assert np.all(guards == 0xA5), "The engine wrote next to a region."


class Engine:
    """A model and a trainer.

    Args:
        library: What `load` returned.
        blob: Bytes of the blob.
        classes: Number of classes.
        optimizer: `SGD`, `MOMENTUM` or `ADAM`.
    """

    def __init__(self, library, blob: bytes, classes=3, optimizer=ADAM):
        self.library = library
        self._blob = np.zeros(len(blob) // 16 + 2, np.complex128)
        self._blob.view(np.uint8)[: len(blob)] = np.frombuffer(blob, np.uint8)
        self.handle = ctypes.c_void_p(library.engine_new())
        self.setup = ctypes.c_uint32(classes), optimizer
        self.classes = classes
        opened = self.call(
            "engine_open", self._blob, ctypes.c_size_t(len(blob))
        )
        assert opened, "Expected a blob that opens."
        self.layers = self.call("engine_layers")
        self.numbers = None

    def __del__(self):
        self.library.engine_delete(self.handle)

    def call(self, name, *arguments):
        """Calls a function of the library with the engine first."""
        pointers = [
            ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a
            for a in arguments
        ]
        return getattr(self.library, name)(self.handle, *pointers)

    def training_bytes(self, counts, kinds=None) -> tuple[int, int]:
        """Returns the bytes of `persistent` and `work`, by the planner."""
        found = np.zeros(2, np.uint64)
        counts = np.array(counts, np.uint16)
        self.call("planner_training_bytes", *self.setup, counts, kinds, found)
        return int(found[0]), int(found[1])

    def scoring_bytes(self) -> tuple[int, int]:
        """Returns the bytes of `persistent` and `work` while scoring."""
        found = np.zeros(2, np.uint64)
        self.call("planner_scoring_bytes", *self.setup, found)
        return int(found[0]), int(found[1])

    def linear_bytes(self, counts) -> int:
        """Returns the fixed bytes and those of all channels."""
        array = np.array(counts, np.uint16)
        fixed = self.call("planner_fixed_bytes", *self.setup, array)
        return fixed + sum(
            n * self.call("planner_channel_bytes", *self.setup, i)
            for i, n in enumerate(counts)
        )

    def init(
        self, persistent: int, work: int, rate=0.0, momentum=0.0, shift=()
    ) -> int:
        """Gives the trainer regions of so many bytes, poisoned.

        Args:
            persistent: Bytes of the one.
            work: Bytes of the other.
            rate: Learning rate, 0 for the rule.
            momentum: That of `MOMENTUM`.
            shift: By how many bytes a region, 0 or 1, is misaligned.
        """
        self.regions = Region(persistent), Region(work)
        arguments = []
        for i, region in enumerate(self.regions):
            size = ctypes.c_size_t(region.size)
            self.library.poison(region.address, size)
            at = region.address.value + dict(shift).get(i, 0)
            arguments += [ctypes.c_void_p(at), size]
        rates = ctypes.c_float(rate), ctypes.c_float(momentum)
        return self.status("engine_init", *self.setup, *rates, *arguments)

    def status(self, name, *arguments) -> int:
        """Calls what also gives three numbers, kept in `numbers`."""
        numbers = np.zeros(3, np.uint32)
        code = self.call(name, *arguments, numbers)
        self.numbers = tuple(int(n) for n in numbers)
        return code

    def plan(self, channels, kinds=None) -> int:
        """Plans the channels of each layer, or its inputs by its kind."""
        counts = np.array([len(c) for c in channels], np.uint16)
        flat = np.array([i for c in channels for i in c] or [0], np.uint16)
        return self.status("engine_plan", counts, flat, kinds)

    def observe(self, sample, label) -> int:
        return self.call("engine_observe", floats(sample), int(label))

    def score(self, sample, label) -> int:
        return self.call("engine_score", floats(sample), int(label))

    def revisit(self, sample, label) -> int:
        return self.call("engine_revisit", floats(sample), int(label))

    def settle(self) -> int:
        return self.call("engine_settle")

    def end_scoring(self) -> int:
        return self.call("engine_end_scoring")

    def scores(self) -> np.ndarray:
        at = self.call("engine_scores")
        return copied(at, self.call("engine_score_count"))

    def accumulate(self, sample, label) -> tuple[int, float]:
        """Returns the code and the loss."""
        loss = ctypes.c_float(np.nan)
        code = self.call(
            "engine_accumulate", floats(sample), int(label), ctypes.byref(loss)
        )
        return code, loss.value

    def update(self) -> int:
        return self.call("engine_update")

    def hold_out(self, sample, label) -> int:
        return self.call("engine_hold_out", floats(sample), int(label))

    def judge(self) -> int:
        return self.call("engine_judge")

    def predict(self, sample) -> tuple[int, int, np.ndarray]:
        """Returns the code, the class and the logits."""
        label = ctypes.c_uint32(2**32 - 1)
        logits = np.full(self.classes, np.nan, np.float32)
        code = self.call(
            "engine_predict", floats(sample), ctypes.byref(label), logits
        )
        return code, label.value, logits

    def save(self, slots: np.ndarray) -> int:
        """Saves to two slots, one after the other."""
        return self.status("engine_save", slots, len(slots) // 2)

    def load(self, slots: np.ndarray, reads: int = 2**32 - 1) -> int:
        """Loads from two slots that fail after so many reads."""
        size = len(slots) // 2
        return self.status("engine_load", slots, size, ctypes.c_uint32(reads))

    def trained(self, gradient=False) -> np.ndarray:
        """Returns the numbers that train, or their gradient."""
        at = ctypes.c_void_p()
        size = self.call("engine_trained", int(gradient), ctypes.byref(at))
        return copied(at.value, size)

    def class_vectors(self, depth) -> np.ndarray:
        at = self.call("engine_class_vectors")
        return copied(at, self.classes * depth).reshape(self.classes, depth)

    def marks(self) -> tuple[int, int]:
        """Returns how much of the regions was written since `init`."""
        for region in self.regions:
            region.check()
        return tuple(
            self.library.high_water_mark(
                region.address, ctypes.c_size_t(region.size)
            )
            for region in self.regions
        )

    def macs(self) -> list[int]:
        """Returns forward, input and filter MACs since the last call."""
        found = np.zeros(3, np.uint64)
        self.library.take_macs(ctypes.c_void_p(found.ctypes.data))
        return [int(n) for n in found]


def floats(sample) -> np.ndarray:
    """Returns what the engine reads of a sample, int8 or float32."""
    sample = np.asarray(sample)
    kind = np.int8 if sample.dtype == np.int8 else np.float32
    return np.ascontiguousarray(sample, kind)


def copied(address: int, count: int) -> np.ndarray:
    """Copies floats out of the engine's memory."""
    return np.frombuffer(ctypes.string_at(address, 4 * count), np.float32)


def load(path: Path) -> ctypes.CDLL:
    """Loads what `build` has built."""
    library = ctypes.CDLL(str(path))
    for name in (
        *("engine_new", "engine_scores", "engine_class_vectors"),
        "engine_sample_place",
    ):
        getattr(library, name).restype = ctypes.c_void_p
    for name in ("planner_fixed_bytes", "planner_channel_bytes"):
        getattr(library, name).restype = ctypes.c_uint64
    library.high_water_mark.restype = ctypes.c_size_t
    library.engine_rate.restype = ctypes.c_float
    return library
