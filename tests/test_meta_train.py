"""The whole run: it learns, goes on as if unbroken, and says what is wrong."""

import errno
import itertools
import json
import os
import resource

import numpy as np
import pytest
import tensorflow as tf
from meta_sources import build_net, build_source

import keras_tinytrain as ktt
from keras_tinytrain.meta import Recipe, meta_train
from keras_tinytrain.meta.checkpoints import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from keras_tinytrain.meta.learner import State
from keras_tinytrain.meta.replicas import Replicas

RECIPE = Recipe(
    episodes=12,
    batch=2,
    way=3,
    shot=2,
    query=3,
    learning_rate=3e-3,
    optimizer="adam",
    crop=0.6,
    styles={"invert": 0.2, "sketch": 0.2},
)


def train(folder, recipe=RECIPE, net=None, **options):
    """Trains the tiny net; returns its weights and the history."""
    net = net or build_net()
    options = {
        "validation": build_source(seed=1),
        "validation_episodes": 3,
        "checkpoint_every": 4,
        "verbose": 0,
        **options,
    }
    history = meta_train(
        net, build_source(), folder=folder, recipe=recipe, **options
    )
    return net.get_weights(), history


def assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run in one go: folder, weights, history."""
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, *train(folder)


@pytest.fixture
def interrupt(monkeypatch):
    """Makes a step raise."""

    def at(step, error):
        real, count = Replicas.train, itertools.count()

        def train(*args):
            if next(count) == step:
                raise error
            return real(*args)

        monkeypatch.setattr(Replicas, "train", train)
        return lambda: monkeypatch.setattr(Replicas, "train", real)

    return at


def test_history_and_files(unbroken):
    folder, weights, history = unbroken
    judged = [x for x in history if "val_loss" in x]
    assert [x["episode"] for x in judged] == [4, 8, 12]
    losses = [x for x in history if "loss" in x]
    assert [x["episode"] for x in losses] == [2, 4, 6, 8, 10, 12]
    rates = [x["learning_rate"] for x in losses]
    assert rates == pytest.approx([RECIPE.rate(i) for i in range(6)])
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert {x.name for x in folder.iterdir()} == {
        "best.npz",
        "checkpoint.npz",
        "curve.png",
        "lock",
        "logs",
    }
    (events,) = (folder / "logs").iterdir()
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert {"loss", "accuracy", "val_accuracy", "images_per_second"} <= tags
    assert any(
        np.any(new != old)
        for new, old in zip(weights, build_net().get_weights())
    )


@pytest.mark.parametrize(
    ("error", "step"),
    [(KeyboardInterrupt(), 3), (MemoryError(), 3), (MemoryError(), 1)],
    ids=["stopped", "broken", "broken early"],
)
def test_a_broken_run_ends_as_an_unbroken_one(
    unbroken, tmp_path, interrupt, error, step
):
    """Bit for bit. Ctrl-C keeps the last step, anything else a checkpoint."""
    mend = interrupt(step, error)
    net = build_net()
    with pytest.raises(type(error)):
        train(tmp_path, net=net)
    assert_equal(net.get_weights(), build_net().get_weights())
    path = tmp_path / "checkpoint.npz"
    if path.exists():
        with np.load(path) as file:
            done = json.loads(file["about"].tobytes())["step"]
        assert done == (step if isinstance(error, KeyboardInterrupt) else 2)
    mend()
    weights, history = train(tmp_path)
    assert_equal(weights, unbroken[1])
    assert [x for x in history if "val_loss" in x] == [
        x for x in unbroken[2] if "val_loss" in x
    ]


def test_ctrl_c_in_a_validation_skips_none(unbroken, tmp_path, monkeypatch):
    """The step in front of it runs again, and so does the validation."""
    real, count = Replicas.judge, itertools.count()

    def judge(*args):
        if next(count) == 1:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(Replicas, "judge", judge)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    about = json.loads(read(tmp_path / "checkpoint.npz")["about"].tobytes())
    assert about["step"] == 3
    weights, history = train(tmp_path)
    assert_equal(weights, unbroken[1])
    assert history == unbroken[2]


def test_ctrl_c_before_the_first_step_keeps_the_checkpoint(
    unbroken, monkeypatch
):
    path = unbroken[0] / "checkpoint.npz"
    before = path.read_bytes()

    def agree(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Replicas, "agree", agree)
    with pytest.raises(KeyboardInterrupt):
        train(unbroken[0])
    assert path.read_bytes() == before


def test_a_run_that_is_done_is_not_run_again(unbroken, interrupt):
    interrupt(0, AssertionError("trains again"))
    weights, history = train(unbroken[0])
    assert_equal(weights, unbroken[1])
    assert history == unbroken[2]


def test_it_learns_to_tell_classes_that_it_has_not_seen(tmp_path):
    recipe = Recipe(
        episodes=90,
        way=3,
        shot=2,
        query=4,
        learning_rate=0.01,
        crop=0.9,
        optimizer="adam",
        jitter=0.0,
    )
    _, history = train(
        tmp_path,
        recipe,
        validation=build_source(seed=1),
        validation_episodes=20,
        checkpoint_every=45,
    )
    # Guessing would be at ln 3.
    *_, last = [x["val_loss"] for x in history if "val_loss" in x]
    losses = [x["loss"] for x in history if "loss" in x]
    assert last < 0.5
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])


def test_the_best_weights_are_kept(tmp_path, monkeypatch):
    """Of three validations the second is the best."""
    weights = {}
    real, accuracies = Replicas.judge, iter([0.3, 0.8, 0.5])

    def judge(self, values, feed, count):
        accuracy = next(accuracies)
        weights[accuracy] = values.numpy()
        return real(self, values, feed, count)._replace(accuracy=accuracy)

    monkeypatch.setattr(Replicas, "judge", judge)
    net, _ = train(tmp_path)
    flat = np.concatenate([w.ravel() for w in weights_that_train(net)])
    np.testing.assert_array_equal(flat, weights[0.8][: len(flat)])


def weights_that_train(values):
    """Those of the tiny net that are no statistics."""
    net = build_net()
    net.set_weights(values)
    return [v.numpy() for v in net.trainable_variables]


def test_without_validation_the_last_weights_are_kept(tmp_path, unbroken):
    weights, history = train(tmp_path, validation=None)
    assert not any("val_loss" in x for x in history)
    assert not (tmp_path / "best.npz").exists()
    losses = [x["loss"] for x in history]
    assert losses == [x["loss"] for x in unbroken[2] if "loss" in x]
    found = read(tmp_path / "checkpoint.npz")["values"]
    flat = np.concatenate([w.ravel() for w in weights_that_train(weights)])
    np.testing.assert_array_equal(flat, found[: len(flat)])


def read(path):
    with np.load(path) as file:
        return dict(file)


def test_drawn_episodes_do_not_trace_again(tmp_path, monkeypatch):
    traces = []
    real = Replicas._gradient

    def gradient(self, values, batch):
        traces.append(batch.images.shape)
        return real(self, values, batch)

    monkeypatch.setattr(Replicas, "_gradient", gradient)
    recipe = Recipe(episodes=12, way=None, shot=None, max_way=5, query=3)
    train(tmp_path, recipe, validation=None)
    assert len(traces) <= 2


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, unbroken, interrupt):
    """The last good checkpoint is kept, and the run goes on from it."""
    real, count = Replicas.train, itertools.count()
    with pytest.MonkeyPatch.context() as patch:

        def broken(*args):
            totals = real(*args)
            bad = {"loss": float("nan")} if next(count) == 4 else {}
            return totals._replace(**bad)

        patch.setattr(Replicas, "train", broken)
        net = build_net()
        with pytest.raises(
            ValueError,
            match=r"in step 4, from episode 8. Received: loss=nan. The last "
            r"checkpoint, '.*checkpoint.npz', and the best",
        ):
            train(tmp_path, net=net)
    assert_equal(net.get_weights(), build_net().get_weights())
    assert_equal(train(tmp_path)[0], unbroken[1])


def test_weights_that_are_not_finite_stop_the_run(tmp_path, monkeypatch):
    real = Replicas.train

    def broken(*args):
        totals = real(*args)
        return totals._replace(gradient=totals.gradient * np.inf)

    monkeypatch.setattr(Replicas, "train", broken)
    with pytest.raises(ValueError, match=r"step 0, .* There is no checkpoint"):
        train(tmp_path)
    assert not (tmp_path / "checkpoint.npz").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": build_net(seed=1)}, r"belongs to: net \w+. Received: net"),
        ({"recipe": Recipe(way=3, shot=2, query=3)}, "learning_rate 0.003;"),
        ({"validation": None}, "validation stripes .* Received: validation no"),
        ({"checkpoint_every": 6}, "checkpoint_every 4. Received: checkp.* 6"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(unbroken, options, message):
    folder = unbroken[0]
    before = (folder / "checkpoint.npz").read_bytes()
    with pytest.raises(ValueError, match=message):
        train(folder, **options)
    assert (folder / "checkpoint.npz").read_bytes() == before


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
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        with pytest.raises(OSError, match="make room and run the sam") as error:
            write_checkpoint(path, checkpoint, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.errno == errno.EFBIG
    assert "The one before it is safe" in str(error.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (20, "Expected to write logs of the run. Received: "),
        (5000, "Expected to write the checkpoint '.*'. Received: File too"),
        (15000, "Expected to draw '.*curve.png'. Received: File too large"),
    ],
)
def test_a_disk_that_is_full_from_the_start(tmp_path, size, message):
    """Whatever file it is that finds no room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(OSError, match=message):
            train(tmp_path, validation=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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


def test_a_folder_is_for_one_run(tmp_path, monkeypatch):
    def another(*args):
        with pytest.raises(BlockingIOError, match="that no other run uses"):
            train(tmp_path)
        raise MemoryError

    monkeypatch.setattr(Replicas, "train", another)
    with pytest.raises(MemoryError):
        train(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoint_every": 0}, "checkpoint_every to be an integer from 1"),
        ({"validation_episodes": 2.0}, "validation_episodes to be an integer"),
        ({"image_size": (8, 8)}, r"that net 'tiny' takes.*\(8, 8\)"),
        ({"validation": build_source(classes=2)}, "at least 3 classes in it"),
        ({"validation": "cubs"}, "Expected the name of a dataset, or a path"),
    ],
)
def test_bad_arguments_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, **options)


def test_it_is_part_of_the_library():
    assert ktt.meta.meta_train is meta_train
