"""The engine of a device, driven from Python."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.micro.handle import OPTIMIZERS, Handle
from keras_tinytrain.micro.local_device import LocalDevice
from keras_tinytrain.micro.refusals import EngineError


class Engine(LocalDevice):
    """What a device does, on this machine: the same C++, compiled here.

    A sample is what the blob takes: an image or, of a tail, its features. The
    engine is compiled on first use, by the compiler that `CXX` names or g++.

    Args:
        blob: File of the blob that `export_micro` has written, or its bytes.
        persistent_bytes: Size of the region that holds what is learned. None
            is what scoring, and training all channels of all layers, take.
        work_bytes: Size of the region for one sample. None is the same.
        classes: Classes of the task. None are as many as were exported.
        optimizer: `"sgd"`, `"momentum"`, `"adam"` or `"in_place"`: SGD that
            takes a step of each sample at once and keeps nothing but the
            weights, integers of an int8 layer; `settle` is then for prototype
            heads alone.
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
        super().__init__(read_blob(data), classes)
        self._handle = Handle(data, self.classes, optimizer)
        persistent, work = self._handle.most_bytes(self._sizes)
        self._handle.init(
            persistent if persistent_bytes is None else persistent_bytes,
            work if work_bytes is None else work_bytes,
            rate=0.0 if learning_rate is None else learning_rate,
            momentum=momentum,
        )

    def hold_out(self, samples: np.ndarray, labels: Sequence[int]) -> None:
        """Adds the losses of samples that nothing is learned from.

        Called after `observe` and again after the training, with the same
        samples, so that `judge` can compare.

        Args:
            samples: `(n, *sample_shape)`.
            labels: The class of each.

        Raises:
            EngineError: If there is no plan, or nothing was observed.
        """
        for sample, label in zip(samples, labels, strict=True):
            self._send("hold_out", sample, label)

    def judge(self) -> bool:
        """Undoes a training that has made what was held out worse.

        Returns:
            Whether the training stays. Otherwise all is as after `plan`: what
            is observed again predicts as before the training.

        Raises:
            EngineError: Unless as many samples were held out before and after
                the training.
        """
        try:
            self._handle.call("judge")
        except EngineError as error:
            if error.reason != "worse":
                raise
            return False
        return True
