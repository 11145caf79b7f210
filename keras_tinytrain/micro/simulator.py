"""An exported model in TensorFlow Lite Micro, driven from Python."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.micro.local_device import LocalDevice
from keras_tinytrain.micro.tail_file import read_tail_file
from keras_tinytrain.micro.tail_handle import TailHandle

# Enough for any device; what is not used is never touched.
ARENA_BYTES = 2**26


class Simulator(LocalDevice):
    """Runs a `model.tflite` in the real TensorFlow Lite Micro.

    Its own kernels run the frozen part; the operator, compiled on first use,
    is that of a device. A sample is an image. `observe`, `score`,
    `accumulate`, `revisit` and `predict` send it through the whole model by
    its control input; all else is a call of the operator. `train` and
    `settle` run the frozen part once per image and keep its features, as a
    device with room for them would.

    Args:
        directory: What `export_micro` has written with representative data.
        arena_bytes: Memory of the interpreter, with all that the operator
            takes.
        classes: Classes of the task. None are as many as were exported.
        learning_rate: Step size of Adam. None is the rule of
            `keras_tinytrain.fit`.

    Attributes:
        arena: Bytes of the arena that are used, as TensorFlow Lite Micro's
            recording allocator says: `"total"`, `"head"`, `"tail"`.
        persistent_bytes: Bytes of the operator's region `persistent`.
        scratch_bytes: Bytes of its `work` and of a sample, which lie where
            the frozen part has its activations.
        flash_bytes: Bytes of the model.

    Raises:
        EngineError: If the arena is too small, with the bytes, or the
            operator refuses the model.
        OSError: If the package tflite-micro is not there, or none that is
            known, or there is no compiler, or the file cannot be read.
        ValueError: If the model is none, or damaged.

    Example:

    >>> simulator = keras_tinytrain.micro.Simulator("build/task")
    >>> for image, label in zip(images, labels):
    ...     simulator.observe(image, label)
    >>> for image, label in zip(images, labels):
    ...     simulator.score(image, label)
    >>> simulator.plan(simulator.select())
    >>> losses = simulator.train(images, labels, steps=40)
    >>> simulator.settle(images, labels)
    >>> logits = simulator.predict(image)
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        arena_bytes: int = ARENA_BYTES,
        classes: int | None = None,
        learning_rate: float | None = None,
    ) -> None:
        data = (pathlib.Path(directory) / "model.tflite").read_bytes()
        file = read_tail_file(data)
        super().__init__(read_blob(file.blob), classes)
        # That of the operator is the shape of the features.
        self._feature_count = math.prod(self.sample_shape)
        self.sample_shape = file.input_shape
        # Of an int8 tail, too, a sample is an image.
        self._takes_int8 = False
        self._handle = TailHandle(file, arena_bytes)
        rate = 0.0 if learning_rate is None else learning_rate
        self._handle.begin(self.classes, rate, file.options["momentum"])
        self.arena = self._handle.arena
        self.persistent_bytes, self.scratch_bytes = (
            self._handle.operator_bytes()
        )
        self.flash_bytes = len(data)

    def features(self, samples: np.ndarray) -> np.ndarray:
        """Returns what the frozen part makes of samples, `(n, size)` int8."""
        return np.stack(
            [
                self._handle.features(self._sample(x), self._feature_count)
                for x in samples
            ]
        )

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
        features, losses = self.features(samples), []
        labels = [self._label(label) for label in labels]
        for _ in range(steps):
            found = [
                self._handle.call_with_features("accumulate", x, label)
                for x, label in zip(features, labels, strict=True)
            ]
            losses.append(float(np.mean(found)))
            self.update()
        return losses

    def summary(self) -> str:
        """Says what the arena holds, and what is ours of it."""
        return (
            f"TensorFlow Lite Micro uses {self.arena['total']:,} bytes of its "
            f"arena: {self.arena['head']:,} for activations and scratch, "
            f"{self.arena['tail']:,} that stay.\n"
            f"Ours of these: {self.scratch_bytes:,} of the first (they share "
            f"memory with activations), {self.persistent_bytes:,} of the "
            f"second. Flash: {self.flash_bytes:,} bytes of the model."
        )
