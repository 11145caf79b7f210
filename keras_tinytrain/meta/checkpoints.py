"""Checkpoints: all that a run needs to go on, in one file, or none of it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from keras_tinytrain.meta.learner import State
from keras_tinytrain.zoo.npz_files import json_array, read_npz, write_npz

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
        "about": json_array(about),
        "values": np.asarray(checkpoint.state.values),
        "slots": np.asarray(checkpoint.state.slots),
    }
    write_npz(path, arrays)


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
        arrays, about = read_npz(path.read_bytes(), "about")
        kind = about["format"], about["version"]
        values, slots = arrays["values"], arrays["slots"]
    except (KeyError, OSError, ValueError) as error:
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
