"""The engine of a device, driven from Python."""

from __future__ import annotations

import ctypes
import os
import pathlib
import weakref
from collections.abc import Mapping, Sequence

import numpy as np

from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.micro.library import load_library
from keras_tinytrain.micro.refusals import EngineError
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.whole_files import whole_file

OPTIMIZERS = ("sgd", "momentum", "adam")
# Trained channels by name of the layer.
Channels = Mapping[str, Sequence[int] | np.ndarray]


class Engine:
    """What a device does, on this machine: the same C++, compiled here.

    A sample is what the blob takes: an image or, of a tail, its features. The
    engine is compiled on first use, by the compiler that `CXX` names or g++.

    Args:
        blob: File of the blob that `export_micro` has written, or its bytes.
        persistent_bytes: Size of the region that holds what is learned. None
            is what scoring, and training all channels of all layers, take.
        work_bytes: Size of the region for one sample. None is the same.
        classes: Classes of the task. None are as many as were exported.
        optimizer: `"sgd"`, `"momentum"` or `"adam"`.
        learning_rate: Step size. None is the rule of
            `keras_tinytrain.fit`, for Adam alone.
        momentum: Of `"momentum"`.

    Raises:
        ValueError: If the blob is damaged, or an argument none of the above.
        OSError: If the blob cannot be read, or there is no compiler.

    Example:

    >>> engine = keras_tinytrain.micro.Engine("build/task/mcunet.ttnb")
    >>> for sample, label in zip(samples, labels):
    ...     engine.observe(sample, label)
    >>> for sample, label in zip(samples, labels):
    ...     engine.score(sample, label)
    >>> engine.plan(engine.select())
    >>> losses = engine.train(samples, labels, steps=40)
    >>> engine.settle(samples, labels)
    >>> logits = engine.predict(sample)
    >>> engine.save("build/task/learned.ttck")
    """

    def __init__(
        self,
        blob: bytes | str | os.PathLike,
        persistent_bytes: int | None = None,
        work_bytes: int | None = None,
        *,
        classes: int | None = None,
        optimizer: str = "adam",
        learning_rate: float | None = None,
        momentum: float = 0.9,
    ):
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"Expected optimizer to be one of {OPTIMIZERS}. Received: "
                f"optimizer={optimizer!r}"
            )
        data = blob
        if not isinstance(blob, bytes):
            data = pathlib.Path(blob).read_bytes()
        read = read_blob(data)
        self.classes = read.head["max_way"] if classes is None else classes
        if not 2 <= self.classes <= read.head["max_way"]:
            raise ValueError(
                "Expected classes to be an integer from 2 to "
                f"{read.head['max_way']}. Received: classes={classes!r}"
            )
        self.sample_shape = tuple(
            read.tensors[0][side] for side in ("height", "width", "channels")
        )
        self._names = [layer["name"] for layer in read.layers]
        self._sizes = [layer["channels"] for layer in read.layers]
        self._library = load_library()
        self._handle = ctypes.c_void_p(self._library.tinytrain_new())
        weakref.finalize(self, self._library.tinytrain_delete, self._handle)
        self._blob = _aligned(len(data))
        self._blob[:] = np.frombuffer(data, np.uint8)
        self._call(
            "open",
            _pointer(self._blob),
            ctypes.c_size_t(len(data)),
            self.classes,
            OPTIMIZERS.index(optimizer),
        )
        sizes = [persistent_bytes, work_bytes]
        most = self._most_bytes()
        sizes = [m if n is None else n for n, m in zip(sizes, most)]
        self._regions = [_aligned(size) for size in sizes]
        self._is_new = True
        rate = 0.0 if learning_rate is None else learning_rate
        arguments = [ctypes.c_float(rate), ctypes.c_float(momentum)]
        for region in self._regions:
            arguments += [_pointer(region), ctypes.c_size_t(len(region))]
        self._call("init", *arguments)

    def begin_scoring(self) -> None:
        """Starts anew, without a plan. `observe` does it of a new engine.

        Raises:
            EngineError: If a region is too small, with the bytes.
        """
        self._call("begin_scoring")
        self._is_new = False

    def observe(self, sample: np.ndarray, label: int) -> None:
        """Adds a sample to the mean of its class, where its vector starts.

        Args:
            sample: Of shape `sample_shape`.
            label: From 0 on, below `classes`.

        Raises:
            EngineError: After the first `score` or `accumulate`.
        """
        if self._is_new:
            self.begin_scoring()
        self._send("observe", sample, label)

    def score(self, sample: np.ndarray, label: int) -> None:
        """Adds a sample to the Fisher potential of each channel.

        Args:
            sample: As in `observe`, which comes first for each sample.
            label: Its class.
        """
        self._send("score", sample, label)

    def select(self) -> dict[str, np.ndarray]:
        """Chooses layers and channels inside the budget of the blob.

        Returns:
            Trained channels by name of the layer.

        Raises:
            EngineError: If nothing was scored, or a budget is too small for
                one channel, with the numbers.
        """
        counts = np.zeros(len(self._sizes), np.uint16)
        chosen = np.zeros(sum(self._sizes), np.uint16)
        self._call("select", _pointer(counts), _pointer(chosen))
        ends = np.cumsum(counts, dtype=int)
        return {
            name: chosen[end - count : end].astype(int)
            for name, count, end in zip(self._names, counts.tolist(), ends)
            if count
        }

    def plan(self, channels: Channels | UpdatePlan) -> None:
        """Makes room for training, from the weights of the blob.

        Args:
            channels: What trains, by name of the layer: from `select`, or a
                plan of the host.

        Raises:
            ValueError: If a layer is not in the blob.
            EngineError: If a region is too small, with the bytes. A plan
                that is there already stays.
        """
        if isinstance(channels, UpdatePlan):
            channels = channels.channels
        counts, chosen = self._selection(channels)
        self._call("plan", _pointer(counts), _pointer(chosen))
        self._is_new = False

    def training_bytes(
        self, channels: Channels | UpdatePlan
    ) -> tuple[int, int]:
        """Returns the bytes of both regions that training channels takes."""
        if isinstance(channels, UpdatePlan):
            channels = channels.channels
        return self._bytes("training_bytes", self._selection(channels)[0])

    def accumulate(self, sample: np.ndarray, label: int) -> float:
        """Adds the gradient of a sample, and returns its loss."""
        loss = ctypes.c_float()
        self._send("accumulate", sample, label, ctypes.byref(loss))
        return loss.value

    def update(self) -> None:
        """Takes a step along the mean gradient since the last one.

        Raises:
            EngineError: If a weight would not be finite. None has changed.
        """
        self._call("update")

    def train(
        self, samples: np.ndarray, labels: Sequence[int], *, steps: int = 40
    ) -> list[float]:
        """Takes steps along the mean gradient of all samples.

        Args:
            samples: `(n, *sample_shape)`.
            labels: The class of each.
            steps: How many steps.

        Returns:
            The mean loss in front of each step.
        """
        losses = []
        for _ in range(steps):
            pairs = zip(samples, labels, strict=True)
            found = [self.accumulate(x, label) for x, label in pairs]
            losses.append(float(np.mean(found)))
            self.update()
        return losses

    def settle(self, samples: np.ndarray, labels: Sequence[int]) -> None:
        """Ends the training: class vectors move to the means of samples.

        Args:
            samples: Those of the training.
            labels: The class of each.
        """
        for sample, label in zip(samples, labels, strict=True):
            self._send("revisit", sample, label)
        self._call("settle")

    def predict(self, sample: np.ndarray) -> np.ndarray:
        """Returns the logits `(classes,)` of a sample."""
        logits = np.zeros(self.classes, np.float32)
        self._call("predict", _pointer(self._sample(sample)), _pointer(logits))
        return logits

    def save(self, path: str | os.PathLike) -> None:
        """Writes what was learned, for `load` or `load_checkpoint`.

        Args:
            path: File of one checkpoint of docs/format.md.

        Raises:
            EngineError: If there is no plan or nothing was observed.
            OSError: If it cannot be written. What was in the file is safe.
        """
        # As much as there can be: it is all in `persistent` but for padding.
        rows = layout.TRAINED.size * len(self._names)
        size = layout.CHECKPOINT.size + rows + 4 * len(self._names)
        slots = _aligned(2 * (size + len(self._regions[0])))
        self._call("save", _pointer(slots), len(slots) // 2)
        data = slots.tobytes()
        with whole_file(path) as part:
            size = layout.CHECKPOINT.unpack(data)["size"]
            part.write_bytes(data[:size])

    def load(self, path: str | os.PathLike) -> None:
        """Plans what a checkpoint has trained, and takes its weights.

        Args:
            path: A checkpoint, or both slots of a device one after the other.

        Raises:
            EngineError: If it is damaged, or of another model or number of
                classes, or if a region is too small, with the bytes. What was
                there stays.
        """
        data = pathlib.Path(path).read_bytes()
        half = len(data) // 2
        # The header of one checkpoint alone names more than half of a file.
        single = len(data) < layout.CHECKPOINT.size
        if not single:
            single = layout.CHECKPOINT.unpack(data)["size"] > half
        slot = len(data) if single else half
        # Nobody reads behind a slot, but a header has to be there.
        slots = _aligned(2 * max(slot, layout.CHECKPOINT.size))
        slots[:slot] = np.frombuffer(data, np.uint8, slot)
        if not single:
            slots[slot : 2 * slot] = np.frombuffer(data, np.uint8, slot, slot)
        self._call("load", _pointer(slots), len(slots) // 2)
        self._is_new = False

    def _most_bytes(self) -> list[int]:
        every = {n: range(size) for n, size in zip(self._names, self._sizes)}
        scoring = self._bytes("scoring_bytes")
        needed = zip(scoring, self.training_bytes(every))
        persistent, work = (max(pair) for pair in needed)
        select = int(self._library.tinytrain_selector_bytes(self._handle))
        # A checkpoint of each layer passes through `work`, 40 bytes a layer.
        lists = 42 * len(self._names) + 2 * sum(self._sizes)
        return [persistent, max(work, select, lists)]

    def _bytes(self, name: str, *arrays: np.ndarray) -> tuple[int, int]:
        found = np.zeros(2, np.uint64)
        function = getattr(self._library, f"tinytrain_{name}")
        function(self._handle, *map(_pointer, arrays), _pointer(found))
        return int(found[0]), int(found[1])

    def _selection(self, channels: Channels) -> tuple[np.ndarray, np.ndarray]:
        unknown = sorted({*channels} - {*self._names})
        if unknown:
            raise ValueError(
                f"Expected layers of the blob, {self._names}. Received: "
                f"{unknown}"
            )
        rows = [list(channels.get(name, ())) for name in self._names]
        counts = np.array([len(row) for row in rows], np.uint16)
        flat = np.array([i for row in rows for i in row] or [0], np.uint16)
        return counts, flat

    def _sample(self, sample: np.ndarray) -> np.ndarray:
        sample = np.ascontiguousarray(sample, np.float32)
        if sample.shape != self.sample_shape:
            raise ValueError(
                f"Expected a sample of shape {self.sample_shape}. Received: "
                f"{sample.shape}"
            )
        return sample

    def _send(self, name: str, sample: np.ndarray, label: int, *more) -> None:
        if not 0 <= label < self.classes:
            raise ValueError(
                f"Expected a label from 0 to {self.classes - 1}. Received: "
                f"label={label}"
            )
        sample = self._sample(sample)
        self._call(name, _pointer(sample), int(label), *more)

    def _call(self, name: str, *arguments) -> None:
        """Calls the library; what it refuses becomes an exception."""
        numbers = np.zeros(3, np.uint32)
        function = getattr(self._library, f"tinytrain_{name}")
        code = function(self._handle, *arguments, _pointer(numbers))
        if code:
            raise EngineError(name, code, tuple(map(int, numbers)))


def _aligned(size: int) -> np.ndarray:
    """Returns bytes at a multiple of 8, all 0."""
    return np.zeros(-(-size // 8) or 1, np.uint64).view(np.uint8)[:size]


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    # The array has to live longer than the call: all callers hold it.
    return ctypes.c_void_p(array.ctypes.data)
