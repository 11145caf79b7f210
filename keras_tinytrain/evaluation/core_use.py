"""How busy the workers of an evaluation keep the cores of this machine."""

from __future__ import annotations

import resource
import time

from keras_tinytrain.evaluation.pool import cores


class CoreUse:
    """Measures the share of the cores' time that workers computed, so far.

        CPU seconds of ended child processes / (wall seconds * cores)

    since it was made. Workers on other machines are not seen.

    Example:

    >>> use = CoreUse()
    >>> evaluate("build/records.jsonl", ...)
    >>> use.share()
    0.97
    """

    def __init__(self) -> None:
        self._computed, self._start = _computed(), time.perf_counter()

    def share(self) -> float:
        """Returns the share, 0 if no child process has ended."""
        wall = time.perf_counter() - self._start
        return (_computed() - self._computed) / (wall * cores())


def _computed() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
