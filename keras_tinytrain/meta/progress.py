"""What a run tells: a line on the terminal, TensorBoard, a curve."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

import tensorflow as tf

from keras_tinytrain.whole_files import whole_file

BAR = 20


class Progress:
    """Shows episodes done and all, images a second, time left, and the loss.

    Args:
        total: Number of episodes in the end.
        done: Episodes that were done before.
        stream: Where to write; None is nowhere. Only a terminal gets the
            line; notes are written in any case.
    """

    def __init__(
        self, total: int, done: int, stream: TextIO | None = sys.stderr
    ) -> None:
        self.stream, self.total = stream, total
        self.first = self.count = done
        self.images = 0
        self._start = time.monotonic()

    @property
    def speed(self) -> float:
        """Images trained with per second, validation not counted."""
        return self.images / max(time.monotonic() - self._start, 1e-9)

    def add(self, episodes: int, images: int, values: Mapping[str, float]):
        """Counts the episodes of a step."""
        self.count += episodes
        self.images += images
        if self.stream is not None and self.stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            line = self.line(values)[:width]
            print(f"\r\x1b[K{line}", end="", file=self.stream, flush=True)

    def note(self, text: str) -> None:
        """Writes a line of its own."""
        if self.stream is not None:
            clear = "\r\x1b[K" if self.stream.isatty() else ""
            print(f"{clear}{text}", file=self.stream, flush=True)

    def end(self) -> None:
        """Leaves the line as it is."""
        if self.stream is not None and self.stream.isatty():
            print(file=self.stream, flush=True)

    def pause(self, seconds: float) -> None:
        """Leaves out of the speed what was not training."""
        self._start += seconds

    def line(self, values: Mapping[str, float]) -> str:
        """Returns the line."""
        filled = BAR * self.count // self.total
        each = (time.monotonic() - self._start) / (self.count - self.first)
        minutes, seconds = divmod(round(each * (self.total - self.count)), 60)
        return "  ".join(
            [
                f"[{'=' * filled}{' ' * (BAR - filled)}] "
                f"{self.count}/{self.total}",
                f"{self.speed:.0f} images/s",
                f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left",
                *(f"{name} {value:.3f}" for name, value in values.items()),
            ]
        )


def write_summary(
    writer: tf.summary.SummaryWriter, values: Mapping[str, float], step: int
) -> None:
    """Writes numbers for TensorBoard, which need not be installed.

    Args:
        writer: Where to.
        values: The numbers by name.
        step: Number of episodes done.
    """
    # `tf.summary.scalar` would import TensorBoard for just this.
    about = tf.compat.v1.SummaryMetadata()
    about.plugin_data.plugin_name = "scalars"
    with writer.as_default():
        for name, value in values.items():
            value = tf.constant(value, tf.float32)
            tf.summary.write(name, value, step, metadata=about)
    writer.flush()


def plot_curve(
    history: Sequence[Mapping[str, float]], path: str | os.PathLike
) -> bool:
    """Draws loss and accuracy over episodes, if matplotlib is there.

    Args:
        history: What `meta_train` returns.
        path: The image file to write.

    Returns:
        Whether it was drawn.

    Raises:
        OSError: If it cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(8, 4), dpi=150, layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, name, unit in zip(panels, ("loss", "accuracy"), (1, 100)):
        for prefix, color, label in (
            ("", "#56b4e9", "training"),
            ("val_", "#d55e00", "validation"),
        ):
            points = [
                (record["episode"], unit * record[prefix + name])
                for record in history
                if prefix + name in record
            ]
            if points:
                marker = "o" if prefix else None
                axes.plot(
                    *zip(*points),
                    color=color,
                    label=label,
                    marker=marker,
                    markersize=3,
                )
        axes.set_xlabel("Episodes")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#dcdfe6", linewidth=0.7)
    panels[0].set_ylabel("Cross-entropy")
    panels[1].set_ylabel("Accuracy (%)")
    panels[1].legend(frameon=False)
    figure.suptitle("Meta-training", fontsize=12)
    with whole_file(path) as part:
        figure.savefig(part)
    return True
