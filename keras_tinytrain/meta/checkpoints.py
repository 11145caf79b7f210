"""Checkpoints: all that a run needs to go on, in one file, or none of it."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from keras_tinytrain.meta.learner import State

FORMAT = "keras_tinytrain.meta"
VERSION = 1


@dataclasses.dataclass
class Checkpoint:
    """What a run has come to.

    Attributes:
        state: Weights, what the optimizer remembers, and the step, from
            which learning rate and next episode follow.
        history: Records of the run so far.
        best: Validation accuracy and episode of the best weights; empty
            before the first validation.
    """

    state: State
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: dict[str, float] = dataclasses.field(default_factory=dict)


def write_checkpoint(
    path: pathlib.Path, checkpoint: Checkpoint, run: Mapping[str, str]
) -> None:
    """Writes a checkpoint, in place of the one that is there.

    The file is complete on the disk before it takes the place of the other.

    Args:
        path: The file.
        checkpoint: What to write.
        run: What the checkpoint belongs to, by name.

    Raises:
        OSError: If it cannot be written. The other one is as before.
    """
    about = {
        "format": FORMAT,
        "version": VERSION,
        "run": dict(run),
        "step": checkpoint.state.step,
        "history": checkpoint.history,
        "best": checkpoint.best,
    }
    arrays = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "values": np.asarray(checkpoint.state.values),
        "slots": np.asarray(checkpoint.state.slots),
    }
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        there = (
            "The one before it is safe" if path.exists() else "None is there"
        )
        raise OSError(
            error.errno,
            f"Expected to write the checkpoint {str(path)!r}. Received: "
            f"{error.strerror}. {there}; make room and run the same again",
        ) from error


def read_checkpoint(
    path: pathlib.Path, run: Mapping[str, str]
) -> Checkpoint | None:
    """Reads a checkpoint.

    Args:
        path: The file.
        run: What it must belong to.

    Returns:
        The checkpoint; None if there is no file.

    Raises:
        ValueError: If the file is damaged, of another version, or belongs to
            something else.
    """
    if not path.exists():
        return None
    try:
        # By itself np.load leaves a damaged file open.
        with open(path, "rb") as file, np.load(file) as arrays:
            about = json.loads(arrays["about"].tobytes())
            kind = about["format"], about["version"]
            values, slots = arrays["values"], arrays["slots"]
    except (
        AttributeError,
        EOFError,
        KeyError,
        OSError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise _not_one(path, str(error)) from error
    if kind != (FORMAT, VERSION):
        raise _not_one(path, f"format={kind[0]!r}, version={kind[1]!r}")
    _check_run(path, about["run"], run)
    state = State(tf.constant(values), tf.constant(slots), about["step"])
    return Checkpoint(state, about["history"], about["best"])


def _not_one(path: pathlib.Path, received: str) -> ValueError:
    return ValueError(
        f"Expected {str(path)!r} to be a whole checkpoint of format="
        f"{FORMAT!r}, version={VERSION}. Received: {received}. Use the version "
        "of keras_tinytrain that wrote it, or give another folder"
    )


def _check_run(path, found: Mapping[str, str], wanted: Mapping[str, str]):
    names = [x for x in wanted if found.get(x) != wanted[x]]
    if names:
        theirs, ours = (
            "; ".join(f"{name} {pair.get(name)}" for name in names)
            for pair in (found, wanted)
        )
        raise ValueError(
            f"Expected the run that {str(path)!r} belongs to: {theirs}. "
            f"Received: {ours}. Give the same, or another folder"
        )
