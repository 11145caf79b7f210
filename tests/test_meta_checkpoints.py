"""A checkpoint keeps every bit, and a full disk loses none."""

import errno
import os

import numpy as np
import pytest
import tensorflow as tf
from full_disk import full_disk
from meta_runs import assert_equal, train

from keras_tinytrain.meta.checkpoints import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from keras_tinytrain.meta.learner import State


@pytest.fixture
def checkpoint():
    state = State(tf.range(5.0), tf.ones([2, 5]), 7)
    return Checkpoint(state, [{"episode": 7, "loss": 0.1}], {"episode": 7})


def test_a_checkpoint_keeps_every_bit(tmp_path, checkpoint):
    path = tmp_path / "checkpoint.npz"
    assert read_checkpoint(path, {"net": "a"}) is None
    write_checkpoint(path, checkpoint, {"net": "a"})
    found = read_checkpoint(path, {"net": "a"})
    assert_equal(found.state[:2], checkpoint.state[:2])
    assert found.state.step == 7
    assert (found.history, found.best) == (checkpoint.history, {"episode": 7})


def test_a_disk_that_fills_up_loses_nothing(tmp_path, checkpoint):
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(path, checkpoint, {})
    before = path.read_bytes()
    message = "make room and run the same"
    with full_disk(300), pytest.raises(OSError, match=message) as error:
        write_checkpoint(path, checkpoint, {})
    assert error.value.errno == errno.EFBIG
    assert "The one before it is safe" in str(error.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (20, "Expected to write logs of the run. Received: "),
        (5000, "Expected to write '.*/checkpoint.npz'. Received: File too"),
        (15000, "Expected to write '.*/curve.png'. Received: File too large"),
    ],
)
def test_a_disk_that_is_full_from_the_start(tmp_path, size, message):
    """Whatever file it is that finds no room."""
    with full_disk(size), pytest.raises(OSError, match=message):
        train(tmp_path, validation=None)


def test_other_files_are_refused(tmp_path, checkpoint, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(path, checkpoint, {})
    data = path.read_bytes()
    for damaged in (b"", b"text", data[:-40], data.replace(b"loss", b"lost")):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"to be a whole checkpoint of"):
            read_checkpoint(path, {})
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match=r"to be a whole checkpoint of"):
        read_checkpoint(path, {})
    monkeypatch.setattr("keras_tinytrain.meta.checkpoints.VERSION", 2)
    write_checkpoint(path, checkpoint, {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"Received: format=.*, version=2. U"):
        read_checkpoint(path, {})
