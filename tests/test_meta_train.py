"""The whole run: what it leaves behind, what it learns, what it refuses."""

import numpy as np
import pytest
import tensorflow as tf
from meta_runs import RECIPE, read, train
from meta_sources import build_net, build_source

import keras_tinytrain as ktt
from keras_tinytrain.meta import Recipe, meta_train
from keras_tinytrain.meta.replicas import Replicas


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run in one go: folder, weights, history."""
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, *train(folder)


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
