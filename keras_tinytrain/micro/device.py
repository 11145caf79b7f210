"""What a device does, whatever runs it: the calls of `Engine`."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np

from keras_tinytrain.export.blob import Blob
from keras_tinytrain.export.contents import plan_flags
from keras_tinytrain.plan import UpdatePlan

# Trained channels by name of the layer.
Channels = Mapping[str, Sequence[int] | np.ndarray]


class Device:
    """Learns a task, one sample at a time. See `Engine` and `SerialDevice`.

    Args:
        blob: What it runs.
        classes: Classes of the task, None for as many as were exported.

    Attributes:
        classes: Classes of the task.
        sample_shape: Shape of what it takes.
        layers: Names of the layers of the blob, in order.

    Raises:
        ValueError: If there are too few classes, or too many.
    """

    def __init__(self, blob: Blob, classes: int | None) -> None:
        self.classes = blob.head["max_way"] if classes is None else classes
        if not 2 <= self.classes <= blob.head["max_way"]:
            raise ValueError(
                "Expected classes to be an integer from 2 to "
                f"{blob.head['max_way']}. Received: classes={classes!r}"
            )
        self.sample_shape = tuple(
            blob.tensors[0][side] for side in ("height", "width", "channels")
        )
        self.layers = [layer["name"] for layer in blob.layers]
        self._sizes = [layer["channels"] for layer in blob.layers]
        self._takes_int8 = bool(blob.tensors[0]["type"])
        self._is_new = True

    def begin_scoring(self) -> None:
        """Starts anew, without a plan. `observe` does it of a new engine.

        Raises:
            EngineError: If a region is too small, with the bytes.
        """
        self._handle.call("begin_scoring")
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
        self._handle.call("select", counts, chosen)
        ends = np.cumsum(counts, dtype=int)
        return {
            name: chosen[end - count : end].astype(int)
            for name, count, end in zip(self.layers, counts.tolist(), ends)
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
        self._handle.call("plan", *self._selection(channels))
        self._is_new = False

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
        self._handle.call("update")

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
        self._handle.call("settle")

    def predict(self, sample: np.ndarray) -> np.ndarray:
        """Returns the logits `(classes,)` of a sample."""
        logits = np.zeros(self.classes, np.float32)
        self._handle.call("predict", self._sample(sample), logits)
        return logits

    def _selection(
        self, channels: Channels | UpdatePlan
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Returns counts, indices, and the flags of each layer or None."""
        flags = {}
        if isinstance(channels, UpdatePlan):
            flags = {layer.name: plan_flags(layer) for layer in channels.layers}
            channels = {
                layer.name: layer.inputs or layer.channels
                for layer in channels.layers
            }
        unknown = sorted({*channels} - {*self.layers})
        if unknown:
            raise ValueError(
                f"Expected layers of the blob, {self.layers}. Received: "
                f"{unknown}"
            )
        rows = [list(channels.get(name, ())) for name in self.layers]
        counts = np.array([len(row) for row in rows], np.uint16)
        flat = np.array([i for row in rows for i in row] or [0], np.uint16)
        kinds = [flags.get(name, 0) for name in self.layers]
        return counts, flat, np.array(kinds, np.uint8) if any(kinds) else None

    def _sample(self, sample: np.ndarray) -> np.ndarray:
        sample = np.asarray(sample)
        stored = self._takes_int8 and sample.dtype != np.int8
        if sample.shape != self.sample_shape or stored:
            kind = "stored int8 numbers" if self._takes_int8 else "numbers"
            raise ValueError(
                f"Expected a sample of {kind} of shape {self.sample_shape}. "
                f"Received: {sample.dtype} of shape {sample.shape}"
            )
        return np.ascontiguousarray(
            sample, np.int8 if self._takes_int8 else np.float32
        )

    def _label(self, label: int) -> int:
        if not 0 <= label < self.classes:
            raise ValueError(
                f"Expected a label from 0 to {self.classes - 1}. Received: "
                f"label={label}"
            )
        return int(label)

    def _send(self, name: str, sample: np.ndarray, label: int, *more) -> None:
        label = self._label(label)
        self._handle.call(name, self._sample(sample), label, *more)
