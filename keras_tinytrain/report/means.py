"""Means over episodes and over datasets, with their 95 % intervals."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over episodes, in %.

    Attributes:
        value: The mean.
        interval: Half of its 95 % interval, 1.96 standard errors; None of a
            single episode.
        count: Number of episodes.
    """

    value: float
    interval: float | None
    count: int

    @property
    def is_sure(self) -> bool:
        """Whether 0 is outside of the interval."""
        return self.interval is not None and abs(self.value) > self.interval


def mean_of(values: Sequence[float]) -> Mean:
    """Returns the mean over the episodes of one dataset.

        1.96 * standard deviation / sqrt(n)

    is half of the interval, as in PMF.

    Args:
        values: One for each episode, at least one.
    """
    count = len(values)
    interval = None
    if count > 1:
        interval = 1.96 * statistics.stdev(values) / math.sqrt(count)
    return Mean(statistics.fmean(values), interval, count)


def mean_over(cells: Sequence[Mean | None]) -> Mean | None:
    """Returns the mean over datasets, None if any of them is lacking.

    Every dataset counts the same, however many episodes it has. Datasets are
    fixed and their episodes drawn, so the variances of the means add up.

    Args:
        cells: The mean of each dataset.
    """
    if None in cells:
        return None
    known = all(cell.interval is not None for cell in cells)
    squares = sum(cell.interval**2 for cell in cells) if known else 0
    return Mean(
        statistics.fmean(cell.value for cell in cells),
        math.sqrt(squares) / len(cells) if known else None,
        sum(cell.count for cell in cells),
    )
