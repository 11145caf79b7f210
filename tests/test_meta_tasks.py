import numpy as np
import pytest
import tensorflow as tf
from meta_sources import build_source

from keras_tinytrain.meta import TASKS, Recipe
from keras_tinytrain.meta.drawings import SAMPLES, Drawings
from keras_tinytrain.meta.paint import paint_ink, paint_signs
from keras_tinytrain.meta.source import Source
from keras_tinytrain.meta.stream import stream
from keras_tinytrain.meta.tasks import Tasks
from keras_tinytrain.meta.warp import warp

WAY, SHOT, QUERY = 3, 2, 4
PHOTOGRAPHS = len(TASKS)


@pytest.fixture(scope="module")
def source():
    return Source(build_source())


@pytest.fixture(scope="module", autouse=True)
def few_drawings():
    """Drawing all 16,000 samples takes long; 30 classes are as good."""
    from keras_tinytrain.meta import tasks

    patch = pytest.MonkeyPatch()
    patch.setattr(tasks, "Drawings", lambda: Drawings(30))
    yield
    patch.undo()


def build(source, **shares):
    recipe = Recipe(way=WAY, shot=SHOT, query=QUERY, tasks=shares)
    return Tasks(source, recipe)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_as_many_images_of_each_class_as_told(source, name):
    tasks = build(source, **{name: 1.0})
    for number in range(8):
        task = tasks.draw(number)
        assert task.kind == TASKS.index(name)
        assert task.support == WAY * SHOT
        sides = np.split(task.labels, [task.support])
        assert [np.bincount(side).tolist() for side in sides] == [
            [SHOT] * WAY,
            [QUERY] * WAY,
        ]
        again = tasks.draw(number)
        np.testing.assert_array_equal(task.positions, again.positions)


def test_the_classes_of_instances_are_single_images(source):
    tasks = build(source, instances=1.0)
    for number in range(8):
        task = tasks.draw(number)
        of_class = [set(task.positions[task.labels == i]) for i in range(WAY)]
        assert [len(positions) for positions in of_class] == [1] * WAY
        assert len(set.union(*of_class)) == WAY
        np.testing.assert_array_equal(
            task.classes, source.number_of[task.positions]
        )


@pytest.mark.parametrize("name", ["drawings", "signs"])
def test_samples_of_a_drawing_are_on_one_side_only(source, name):
    tasks = build(source, **{name: 1.0})
    for number in range(8):
        task = tasks.draw(number)
        assert len(set(task.positions)) == len(task.positions)
        assert set(task.classes) == {-1}
        classes = task.positions // SAMPLES
        assert all(len(set(classes[task.labels == i])) == 1 for i in range(WAY))
        assert len(set(classes)) == WAY


def test_kinds_of_tasks_are_as_frequent_as_told(source):
    tasks = build(source, instances=0.2, drawings=0.3, signs=0.1)
    kinds = [tasks.draw(number).kind for number in range(600)]
    found = np.bincount(kinds, minlength=4) / 600
    # Three standard errors of a share are 0.06 at most.
    np.testing.assert_allclose(found, [0.2, 0.3, 0.1, 0.4], atol=0.06)


def test_without_other_tasks_episodes_are_those_of_the_source(source):
    tasks = build(source)
    for number in range(5):
        task = tasks.draw(number)
        assert task.kind == PHOTOGRAPHS
        expected = source.draw(number, tasks.recipe)
        for ours, theirs in zip(task[1:], expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_stream_of_all_kinds(source):
    """Images of the right shape, and each sample another one."""
    tasks = build(source, instances=0.3, drawings=0.3, signs=0.3)
    numbers = [(number, 1.0) for number in range(12)]
    kinds = {tasks.draw(number).kind for number, _ in numbers}
    assert kinds == {0, 1, 2, 3}
    batches = list(stream(tasks, numbers, (16, 12), augment=True))
    for batch in batches:
        images = batch.images.numpy()
        assert images.shape == (WAY * (SHOT + QUERY), 16, 12, 3)
        assert images.dtype == np.uint8
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(
            images
        )


def test_samples_of_a_class_look_more_alike_than_classes():
    drawings = Drawings(20, 6)
    ink = drawings.images[..., 0].reshape(20, 6, -1) / 255.0
    assert (ink.max(axis=2) > 0.5).all()
    within = np.abs(ink[:, 0] - ink[:, 1]).mean()
    between = np.abs(ink[:, 0] - np.roll(ink[:, 0], 1, axis=0)).mean()
    assert 0 < within < 0.6 * between
    again = Drawings(20, 6)
    np.testing.assert_array_equal(drawings.images, again.images)


def test_a_plate_hides_what_is_behind():
    """With it a flat image gains the same everywhere."""
    layers = tf.zeros([2, 8, 8, 3])
    behind = tf.fill([2, 8, 8, 3], 100.0)
    tones = tf.constant(np.full((2, 3, 3), 255.0, np.float32))
    seed = tf.constant([1, 2])
    bare = paint_signs(layers, tones, behind, seed)
    full = paint_signs(
        tf.concat([layers[..., :1], layers[..., 1:] + 255], -1),
        tones,
        behind,
        seed,
    )
    # The same light and noise on both: 255 in place of 100.
    gained = (full - bare).numpy().reshape(2, -1)
    assert gained.min() > 0
    assert np.ptp(gained, axis=1).max() < 0.01


def test_ink_differs_from_paper():
    """By 80 in the mean of the colours, before these are clipped."""
    layers = np.zeros((4, 1, 2, 3), np.float32)
    layers[:, :, 1] = 255.0
    for number in range(20):
        images = paint_ink(tf.constant(layers), tf.constant([0, number]))
        paper, ink = np.moveaxis(images.numpy()[:, 0], 1, 0)
        apart = np.abs((ink - paper).mean(axis=-1))
        assert apart.min() >= 80 - 1e-3


def test_a_warp_keeps_a_flat_image_and_fills_as_told():
    images = tf.fill([50, 9, 9, 2], 7.0)
    seed = tf.constant([4, 4])
    whole = warp(images, seed, (12, 15), "REFLECT")
    assert whole.shape == (50, 12, 15, 2)
    np.testing.assert_allclose(whole, 7.0, rtol=1e-5)
    cut = warp(images, seed, (12, 15), "CONSTANT").numpy()
    assert cut.min() == 0
    np.testing.assert_allclose(cut[:, 6, 7], 7.0, rtol=1e-5)


def test_a_warp_moves_by_small_amounts_around_the_middle():
    """The mean over many warps puts a dot where it was, in shares."""
    images = np.zeros((3000, 9, 9, 1), np.float32)
    images[:, 4, 4] = 1.0
    found = warp(tf.constant(images), tf.constant([0, 9]), (27, 27), "CONSTANT")
    mass = found.numpy()[..., 0]
    places = np.arange(27)
    total = mass.sum(axis=(1, 2))
    down = (mass.sum(axis=2) * places).sum(axis=1) / total
    across = (mass.sum(axis=1) * places).sum(axis=1) / total
    for where in (down, across):
        assert where.mean() == pytest.approx(13.0, abs=0.2)
        # Shifts of up to 12 % of 27 pixels, over sizes from 0.75 to 1.3.
        assert 1.0 < where.std() < 3.0
