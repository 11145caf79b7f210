"""What is left of the spread within classes, by hand and as laws."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers
from meta_runs import RECIPE, assert_equal, train
from meta_sources import build_net

from keras_tinytrain.heads import pool
from keras_tinytrain.meta import whitening
from keras_tinytrain.meta.learner import Learner
from keras_tinytrain.meta.recipe import Recipe
from keras_tinytrain.meta.whitening import (
    whiten,
    whitening_matrix,
    within_classes,
)


def linear_net(seed=0):
    """The tiny net with a last layer that has no activation."""
    keras.utils.set_random_seed(seed)
    net = build_net(seed, pooled=False)
    x = layers.Conv2D(3, 1, bias_initializer="normal", name="project")(
        net.output
    )
    return keras.Model(net.input, layers.GlobalAveragePooling2D()(x))


class Task:
    """Images and labels, as `whiten` takes them."""

    def __init__(self, images, labels):
        self.images = keras.ops.convert_to_tensor(images)
        self.labels = keras.ops.convert_to_tensor(labels)


def draw_tasks(count=3, images=24):
    rng = np.random.default_rng(0)
    shape = images, 16, 16, 3
    return [
        Task(rng.integers(0, 256, shape, np.uint8), np.arange(images) % 4)
        for _ in range(count)
    ]


def test_spread_is_about_the_mean_of_each_class():
    """Classes 0 and 1 lie apart; what is left is 1 and 4, and no more."""
    embeddings = np.array([[9.0, 2], [11, 2], [0, -1], [0, 3]], np.float32)
    spread = within_classes(embeddings, np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(spread, [[0.5, 0.0], [0.0, 2.0]])


def test_matrix_by_hand():
    """Variances 1 and 9, shrunk to 0.7 + 1.5 and 6.3 + 1.5."""
    matrix = whitening_matrix(np.diag([1.0, 9.0]))
    np.testing.assert_allclose(matrix, np.diag([2.2**-0.5, 7.8**-0.5]))


def test_equal_spread_changes_no_direction():
    np.testing.assert_allclose(whitening_matrix(4 * np.eye(3)), np.eye(3) / 2)


def test_no_spread_is_refused():
    with pytest.raises(ValueError, match=r"a mean variance of 0\.0"):
        whitening_matrix(np.zeros((2, 2)))


def test_without_shrinkage_all_directions_differ_alike(monkeypatch):
    """And the map is linear: the features are the old ones times a matrix."""
    monkeypatch.setattr(whitening, "SHRINKAGE", 0.0)
    net = linear_net()
    features = keras.Model(net.input, net.layers[-1].input)
    tasks = draw_tasks()
    images = tasks[0].images
    before = pool(features(images)).numpy()
    length = np.linalg.norm(net.get_layer("project").kernel)
    whiten(features, tasks)
    after = pool(features(images)).numpy()
    matrix, *_ = np.linalg.lstsq(before, after)
    np.testing.assert_allclose(before @ matrix, after, rtol=1e-3, atol=1e-3)
    assert np.linalg.norm(net.get_layer("project").kernel) == pytest.approx(
        length, rel=1e-5
    )
    spread = np.mean(
        [
            within_classes(pool(features(t.images)).numpy(), t.labels.numpy())
            for t in tasks
        ],
        axis=0,
    )
    round_spread = spread[0, 0] * np.eye(3)
    np.testing.assert_allclose(spread, round_spread, atol=1e-3 * spread[0, 0])


def test_a_run_ends_with_the_whitened_net(tmp_path):
    """Only the last layer differs, and a run that goes on ends the same."""
    plain, _ = train(tmp_path / "plain", net=linear_net())
    recipe = dataclasses.replace(RECIPE, whitening=2)
    folder = tmp_path / "whitened"
    whitened, _ = train(folder, recipe, linear_net())
    assert_equal(plain[:-2], whitened[:-2])
    assert not np.allclose(plain[-2], whitened[-2], rtol=0.05)
    again, _ = train(folder, recipe, linear_net())
    assert_equal(whitened, again)


def test_what_is_kept_is_a_mean(tmp_path):
    start = linear_net().get_weights()
    ends = [
        train(
            tmp_path / str(keep),
            dataclasses.replace(RECIPE, keep=keep),
            linear_net(),
        )[0]
        for keep in (0.0, 0.25, 1.0)
    ]
    for before, after, mean, same in zip(start, *ends, strict=True):
        expected = 0.25 * before + 0.75 * after
        np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(same, before)


@pytest.mark.parametrize("last", ["relu", "frozen", "add"])
def test_a_last_layer_that_cannot_take_it_up_is_refused(last):
    net = build_net()  # Ends in a convolution with ReLU.
    if last == "frozen":
        net = linear_net()
        net.get_layer("project").trainable = False
    if last == "add":
        net = linear_net()
        x = net.get_layer("project").output
        net = keras.Model(net.input, layers.Add()([x, x]))
    with pytest.raises(ValueError, match="ends in a Conv2D or Dense layer"):
        Learner(net, Recipe(whitening=1), 5)
