"""A bounded sample of a stream, so that what was learned is not forgotten."""

from __future__ import annotations

import collections
import operator

import numpy as np


class Reservoir:
    """Keeps some of all samples that it was ever shown, fairly chosen.

    Until it is full it keeps every sample. From then on, of n samples of a
    class of which it keeps m, each is kept with the same probability m / n,
    wherever in the stream it was. Balanced, a class that has always had fewer
    samples than another grows at the cost of the largest, and keeps all that
    it was shown; the other classes are equally large, but for one sample. Not
    balanced, each sample of the stream is as likely as any other, so a class
    is as large as its share.

    The memory for all samples is taken with the first one.

    Args:
        capacity: Most samples to keep.
        balanced: Whether classes are to be equally large.
        seed: Seed of what is kept and drawn.

    Raises:
        ValueError: If the capacity is no integer from 1.

    Example:

    >>> reservoir = Reservoir(60)
    >>> for feature, label in stream:
    ...     reservoir.add(feature, label)
    >>> features, labels = reservoir.draw(8)

    Reference:
        - Vitter, [Random Sampling with a
          Reservoir](https://doi.org/10.1145/3147.3165), algorithm R.
        - Chrysakis and Moens, [Online Continual Learning from Imbalanced
          Data](https://proceedings.mlr.press/v119/chrysakis20a.html): the
          balanced one.
    """

    def __init__(
        self, capacity: int, *, balanced: bool = True, seed: int = 0
    ) -> None:
        if not isinstance(capacity, int) or capacity < 1:
            raise ValueError(
                "Expected capacity to be an integer from 1. Received: "
                f"capacity={capacity!r}"
            )
        self.capacity = capacity
        self.balanced = balanced
        self._random = np.random.default_rng(seed)
        self._samples: np.ndarray | None = None
        self._labels = np.zeros(capacity, np.int32)
        self._size = 0
        self._seen: collections.Counter[int] = collections.Counter()
        # Classes that have been the largest, and may lack some sample.
        self._cut: set[int] = set()

    def __len__(self) -> int:
        return self._size

    @property
    def samples(self) -> np.ndarray:
        """The samples that it keeps, `(n, ...)`, in no order."""
        if self._samples is None:
            return np.zeros((0,), np.int8)
        return self._samples[: self._size]

    @property
    def labels(self) -> np.ndarray:
        """Their labels, `(n,)`."""
        return self._labels[: self._size]

    @property
    def nbytes(self) -> int:
        """Bytes of all samples that it has room for."""
        return 0 if self._samples is None else self._samples.nbytes

    def add(self, sample: np.ndarray, label: int) -> bool:
        """Shows it a sample; returns whether it is kept for now.

        Raises:
            ValueError: If shape or type differ from those of the first one,
                or the label is no integer from 0.
        """
        sample, label = self._check(np.asarray(sample), label)
        if self._samples is None:
            shape = self.capacity, *sample.shape
            self._samples = np.zeros(shape, sample.dtype)
        self._seen[label] += 1
        place = self._place(label)
        if place is None:
            return False
        self._samples[place], self._labels[place] = sample, label
        self._size = max(self._size, place + 1)
        return True

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws different samples, all there are if these are fewer.

        Returns:
            Samples `(n, ...)` and labels `(n,)`.
        """
        chosen = self._random.permutation(self._size)[:count]
        return self.samples[chosen], self.labels[chosen]

    def _place(self, label: int) -> int | None:
        """Returns where a sample goes; None if it does not stay."""
        if self._size < self.capacity:
            return self._size
        if not self.balanced:
            place = int(self._random.integers(self._seen.total()))
            return place if place < self.capacity else None
        counts = np.bincount(self.labels)
        largest = np.flatnonzero(counts == counts.max())
        self._cut.update(largest.tolist())
        if label not in self._cut:
            return self._any_of(int(self._random.choice(largest)))
        # As likely as any sample of its class before it.
        if self._random.integers(self._seen[label]) < counts[label]:
            return self._any_of(label)
        return None

    def _any_of(self, label: int) -> int:
        return int(self._random.choice(np.flatnonzero(self.labels == label)))

    def _check(self, sample: np.ndarray, label: int) -> tuple[np.ndarray, int]:
        known = self._samples
        if known is not None and (
            sample.shape != known.shape[1:] or sample.dtype != known.dtype
        ):
            raise ValueError(
                f"Expected a sample of shape {known.shape[1:]} and type "
                f"{known.dtype}, as the first. Received: shape "
                f"{sample.shape}, type {sample.dtype}"
            )
        try:
            number = operator.index(label)
        except TypeError:
            number = -1
        if number < 0:
            raise ValueError(
                "Expected a label to be an integer from 0. Received: "
                f"label={label!r}"
            )
        return sample, number
