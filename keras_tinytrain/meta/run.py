"""The loop: steps, validations and checkpoints, from wherever it stopped."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import math
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import TextIO

import tensorflow as tf

from keras_tinytrain.meta.checkpoints import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from keras_tinytrain.meta.learner import Learner, State
from keras_tinytrain.meta.progress import Progress, plot_curve, write_summary
from keras_tinytrain.meta.replicas import Replicas
from keras_tinytrain.meta.source import Source
from keras_tinytrain.meta.stream import Batch, stream
from keras_tinytrain.meta.tasks import Tasks

CHECKPOINT, BEST = "checkpoint.npz", "best.npz"
# Points of the learning curve, besides those at checkpoints.
POINTS = 500
# What a collective operation raises when another worker is gone.
_GONE = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


class Run:
    """One meta-training in one process, which may be one of several.

    Args:
        learner: What is trained.
        replicas: Where.
        source: What to learn from.
        judge: What to validate on; None is nothing.
        size: `(height, width)` of the images.
        folder: Where files go; None in a process that writes none.
        judged: Episodes of a validation.
        every: Steps between checkpoints.
        stream: Where progress is shown; None is nowhere.
    """

    def __init__(
        self,
        learner: Learner,
        replicas: Replicas,
        source: Source,
        judge: Source | None,
        *,
        size: tuple[int, int],
        folder: pathlib.Path | None,
        judged: int,
        every: int,
        stream: TextIO | None,
    ) -> None:
        self.learner, self.replicas = learner, replicas
        self.recipe = learner.recipe
        self.source, self.judge = source, judge
        self.tasks = Tasks(source, self.recipe)
        self.size, self.judged, self.every = size, judged, every
        self.folder, self.stream = folder, stream
        self.now = Checkpoint(learner.start())
        # As it was after the last step and all that belongs to it.
        self._whole: Checkpoint | None = None
        self._window = collections.defaultdict(list)
        self._log = max(1, self.recipe.steps // POINTS)

    @property
    def about(self) -> dict[str, str]:
        """What a checkpoint must agree in to be of this run, by name."""
        recipe = json.loads(self.recipe.to_json())
        judge = f"{self.judge.name} {self.judge.digest}" if self.judge else ""
        return {
            "net": self.learner.fingerprint,
            "source": f"{self.source.name} {self.source.digest}",
            "validation": f"{judge} {self.judged}" if judge else "none",
            "checkpoint_every": str(self.every * self.recipe.batch),
            "image_size": str(tuple(self.size)),
            **{name: repr(value) for name, value in recipe.items()},
        }

    def train(self) -> list[dict[str, float]]:
        """Runs all steps that are left; returns the records of all.

        Raises:
            ValueError: If the checkpoint is not of this run, or the loss is
                not finite.
            OSError: If the disk is full, or the best weights are gone.
            RuntimeError: If another worker is gone.
        """
        try:
            self._resume()
            with contextlib.ExitStack() as stack:
                writer = None
                if self.folder is not None:
                    logs = str(self.folder / "logs")
                    writer = tf.summary.create_file_writer(logs)
                    stack.callback(writer.close)
                self._steps(writer)
            self._finish()
        except KeyboardInterrupt:
            if self._whole is not None:
                self._save(self._whole)
            raise
        except tf.errors.OpError as error:
            if "events.out" in error.message:
                raise self._no_room(error) from error
            if self.replicas.count == 1 or not isinstance(error, _GONE):
                raise
            raise self._alone(error) from error
        return self.now.history

    def _resume(self) -> None:
        found = None
        if self.folder is not None:
            found = read_checkpoint(self.folder / CHECKPOINT, self.about)
        self.now = found or self.now
        self.now.state = self.replicas.agree(self.now.state)

    def _steps(self, writer: tf.summary.SummaryWriter | None) -> None:
        recipe, first = self.recipe, self.now.state.step * self.recipe.batch
        progress = Progress(recipe.episodes, first, self.stream)
        if first:
            progress.note(f"Goes on after episode {first:,}")
        feed = self._feed(
            self.tasks, first, recipe.episodes, recipe.batch, augment=True
        )
        while self.now.state.step < recipe.steps:
            self._whole = dataclasses.replace(
                self.now, history=list(self.now.history)
            )
            state = self.now.state
            rate = recipe.rate(state.step)
            totals = self.replicas.train(state.values, feed, recipe.batch)
            new = self.learner.update(state, totals.gradient, rate)
            self._check(totals.loss, new)
            self.now.state = new
            self._window["loss"].append(totals.loss)
            self._window["accuracy"].append(totals.accuracy)
            self._window["learning_rate"].append(rate)
            progress.add(recipe.batch, totals.images, self._means())
            saves = new.step % self.every == 0 or new.step == recipe.steps
            if saves or new.step % self._log == 0:
                speed = progress.speed
                self._record(writer, self._means(), images_per_second=speed)
                self._window.clear()
            if saves:
                start = time.monotonic()
                self._validate(writer, progress)
                self._save(self.now)
                progress.pause(time.monotonic() - start)
        progress.end()

    def _feed(
        self, tasks: Tasks, first: int, stop: int, batch: int, **options
    ) -> Callable[[], Batch]:
        return self.replicas.feed(
            lambda replica: stream(
                tasks,
                self.replicas.numbers(replica, first, stop, batch),
                self.size,
                **options,
            )
        )

    def _validate(
        self, writer: tf.summary.SummaryWriter | None, progress: Progress
    ) -> None:
        """Judges the weights, and keeps them if they are the best so far."""
        if self.judge is None:
            return
        count = self.judged
        # Of photographs as they are.
        recipe = dataclasses.replace(self.recipe, tasks={})
        tasks = Tasks(self.judge, recipe)
        feed = self._feed(tasks, 0, count, count, augment=False)
        totals = self.replicas.judge(self.now.state.values, feed, count)
        values = {"val_loss": totals.loss, "val_accuracy": totals.accuracy}
        self._record(writer, values)
        if totals.accuracy > self.now.best.get("val_accuracy", -1.0):
            self.now.best = {"episode": self._episode, **values}
            if self.folder is not None:
                write_checkpoint(self.folder / BEST, self.now, self.about)
        best = self.now.best
        progress.note(
            f"Episode {self._episode:,}: validation "
            f"{100 * totals.accuracy:.2f} %, best "
            f"{100 * best['val_accuracy']:.2f} % after {best['episode']:,}"
        )

    def _finish(self) -> None:
        """Puts the best weights into the net, and whitens it."""
        state = self.now.state
        if self.folder is not None:
            if self.judge is not None:
                path = self.folder / BEST
                best = read_checkpoint(path, self.about)
                if best is None:
                    raise FileNotFoundError(
                        "Expected the weights that were best in "
                        f"{str(path)!r}, as the checkpoint beside it says. "
                        "Received: no such file. Put it back, or give another "
                        "folder"
                    )
                state = best.state
        self.learner.finish(self.replicas.agree(state))
        if self.recipe.whitening:
            # Tasks that it did not train on; every worker sees the same.
            first = self.recipe.episodes
            numbers = range(first, first + self.recipe.whitening)
            pairs = ((number, 1.0) for number in numbers)
            self.learner.whiten(
                stream(self.tasks, pairs, self.size, augment=True)
            )

    def _save(self, checkpoint: Checkpoint) -> None:
        if self.folder is not None:
            path = self.folder / CHECKPOINT
            write_checkpoint(path, checkpoint, self.about)
            plot_curve(checkpoint.history, self.folder / "curve.png")

    def _record(
        self,
        writer: tf.summary.SummaryWriter | None,
        values: Mapping[str, float],
        **others: float,
    ) -> None:
        """Adds a record to the history, and this and more to the logs."""
        self.now.history.append({"episode": self._episode, **values})
        if writer is not None:
            write_summary(writer, {**values, **others}, self._episode)

    def _means(self) -> dict[str, float]:
        """Returns the means since the last record."""
        means = {n: statistics.fmean(v) for n, v in self._window.items()}
        return {**means, "scale": self.learner.scale(self.now.state)}

    def _check(self, loss: float, new: State) -> None:
        """Refuses a step that leads nowhere."""
        if math.isfinite(loss) and math.isfinite(tf.reduce_sum(new.values)):
            return
        kept = "There is no checkpoint yet"
        if self.folder is not None and (self.folder / CHECKPOINT).exists():
            kept = f"The last checkpoint, {str(self.folder / CHECKPOINT)!r}, "
            kept += "and the best weights beside it are kept"
        raise ValueError(
            f"Expected a finite loss and finite weights in {self._place()}. "
            f"Received: loss={loss}. {kept}. Try a lower learning rate, in "
            "another folder"
        )

    def _no_room(self, error: tf.errors.OpError) -> OSError:
        """Says that logs could not be written, mostly as the disk is full."""
        said = " ".join(error.message.rpartition("}} ")[2].split())
        return OSError(
            f"Expected to write logs of the run. Received: {said}. Make room "
            "and run the same again: it goes on from the last checkpoint"
        )

    def _alone(self, error: tf.errors.OpError) -> RuntimeError:
        """Says that another worker does not answer."""
        said = error.message.splitlines()[0].rpartition("}} ")[2]
        return RuntimeError(
            f"Expected all {self.replicas.count} replicas to take part in "
            f"{self._place()}. Received: {said} ({type(error).__name__}). A "
            "worker is gone; start all of them again: the same call goes on "
            "from the last checkpoint"
        )

    @property
    def _episode(self) -> int:
        """Number of episodes done."""
        return self.now.state.step * self.recipe.batch

    def _place(self) -> str:
        step = self.now.state.step
        return f"step {step:,}, from episode {self._episode:,}"
