"""A line that tells how far an evaluation is; silent where nobody looks."""

from __future__ import annotations

import collections
import shutil
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

BAR = 20


class Progress:
    """Shows done and all, seconds per episode, time left and means so far.

    Args:
        total: Number of episodes in the end.
        done: Records that there are already.
        stream: Where to write. Only a terminal gets the line; notes are
            written in any case.
    """

    def __init__(
        self,
        total: int,
        done: Iterable[Mapping[str, Any]] = (),
        stream: TextIO | None = None,
    ) -> None:
        self.stream = stream or sys.stderr
        self.total, self.count = total, 0
        self._values = collections.defaultdict(list)
        for record in done:
            self._take(record)
        self._first, self._start = self.count, time.monotonic()
        self._show()

    def add(self, record: Mapping[str, Any]) -> None:
        """Counts a record that is new."""
        self._take(record)
        self._show()

    def note(self, text: str) -> None:
        """Writes a line of its own."""
        self._clear()
        print(text, file=self.stream, flush=True)
        self._show()

    def close(self) -> None:
        """Leaves the line as it is."""
        if self.stream.isatty():
            print(file=self.stream, flush=True)

    def line(self) -> str:
        """Returns the line."""
        share = self.count / max(self.total, 1)
        filled = int(BAR * share)
        parts = [
            f"[{'=' * filled}{' ' * (BAR - filled)}] {self.count}/{self.total}"
        ]
        fresh = self.count - self._first
        if fresh:
            each = (time.monotonic() - self._start) / fresh
            left = round(each * (self.total - self.count))
            minutes, seconds = divmod(left, 60)
            clock = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
            parts += [f"{each:.2f} s/episode", f"{clock} left"]
        parts += [
            f"{method} {100 * statistics.fmean(values):.1f}"
            for method, values in self._values.items()
        ]
        return "  ".join(parts)

    def _take(self, record: Mapping[str, Any]) -> None:
        self.count += 1
        self._values[record["method"]].append(record["accuracy"])

    def _show(self) -> None:
        if self.stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(
                f"\r\x1b[K{self.line()[:width]}",
                end="",
                file=self.stream,
                flush=True,
            )

    def _clear(self) -> None:
        if self.stream.isatty():
            print("\r\x1b[K", end="", file=self.stream)
