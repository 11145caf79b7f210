"""A run that is broken goes on as if unbroken."""

import itertools
import json
import shutil

import numpy as np
import pytest
from meta_runs import assert_equal, read, train
from meta_sources import build_net

from keras_tinytrain.meta import Recipe
from keras_tinytrain.meta.replicas import Replicas


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


def test_best_weights_that_are_gone_are_missed(unbroken, tmp_path):
    """The last ones do not quietly take their place."""
    shutil.copy(unbroken[0] / "checkpoint.npz", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"best in '.*/best.npz'"):
        train(tmp_path)
    shutil.copy(unbroken[0] / "best.npz", tmp_path)
    assert_equal(train(tmp_path)[0], unbroken[1])


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, unbroken):
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
