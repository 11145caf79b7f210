import numpy as np
import pytest
from evaluation_sources import save_images
from meta_sources import build_source

import keras_tinytrain as ktt
from keras_tinytrain.meta import Recipe
from keras_tinytrain.meta.source import Source, open_source
from keras_tinytrain.meta.stream import stream
from keras_tinytrain.meta.tasks import Tasks

RECIPE = Recipe(way=3, shot=2, query=4, crop=0.5)


@pytest.fixture(scope="module")
def source():
    return Source(build_source())


def test_a_drawn_episode_has_the_images_that_it_says(source):
    dataset = build_source()
    everything = dataset.load(
        [item for name in dataset.classes for item in dataset.items(name)]
    )
    np.testing.assert_array_equal(source.images, everything)
    for number in range(20):
        positions, labels, classes, support = source.draw(number, RECIPE)
        assert support == 6
        assert len(set(positions)) == len(positions) == 6 + 12
        assert np.bincount(labels[:support]).tolist() == [2, 2, 2]
        assert np.bincount(labels[support:]).tolist() == [4, 4, 4]
        # Eight images of each class, one class after another.
        np.testing.assert_array_equal(positions // 8, classes)
        for label in range(3):
            assert len(set(classes[labels == label])) == 1


def test_episodes_follow_their_number_and_the_seed(source):
    def draw(number, seed=0):
        recipe = Recipe(way=3, shot=2, query=4, seed=seed)
        return source.draw(number, recipe)[0].tolist()

    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
    assert draw(5) != draw(5, seed=1)


def test_relatives_are_never_on_both_sides():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 4, 4, 3)).astype("uint8")
    groups = np.arange(60) // 3
    dataset = ktt.datasets.ArrayDataset(
        images, np.repeat(np.arange(5), 12), groups=groups
    )
    source = Source(dataset)
    for number in range(10):
        positions, _, _, support = source.draw(number, RECIPE)
        sides = groups[positions[:support]], groups[positions[support:]]
        assert not set(sides[0]) & set(sides[1])


def test_a_folder_is_read_as_it_is(tmp_path):
    folder = save_images(tmp_path / "birds", classes=5, count=7)
    source = open_source(folder, Recipe(stored_size=16, way=3, shot=2, query=4))
    dataset = ktt.datasets.ImageFolder(folder, image_size=(16, 16))
    items = [x for name in dataset.classes for x in dataset.items(name)]
    np.testing.assert_array_equal(source.images, dataset.load(items))
    assert source.classes == dataset.classes


def test_the_digest_knows_every_image_and_group(source):
    assert Source(build_source()).digest == source.digest
    assert Source(build_source(seed=1)).digest != source.digest
    images = source.images.numpy()
    labels = np.repeat(np.arange(5), 8)
    arrays = {"name": "stripes"}
    same = ktt.datasets.ArrayDataset(images, labels, **arrays)
    grouped = ktt.datasets.ArrayDataset(
        images, labels, groups=np.arange(40) // 2, **arrays
    )
    assert Source(same).digest == source.digest
    assert Source(grouped).digest != source.digest


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"way": 6}, "at least 6 classes in it with 5 support and 15"),
        ({"way": 3, "shot": 5, "query": 4}, "too few images in: 0 \\(8 in 8"),
    ],
)
def test_a_source_with_too_little_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        open_source(build_source(), Recipe(**values))


def test_images_that_are_no_bytes_are_refused():
    dataset = ktt.datasets.ArrayDataset(
        np.zeros((60, 4, 4, 3), "float32"), np.repeat(np.arange(5), 12)
    )
    with pytest.raises(ValueError, match="RGB images of bytes"):
        open_source(dataset, RECIPE)


def test_a_stream_can_begin_anywhere(source):
    """Views too: episode 3 is the same, whatever came before."""

    def read(first):
        numbers = ((n, 1.0) for n in range(first, 5))
        tasks = Tasks(source, RECIPE)
        batches = stream(tasks, numbers, (8, 8), augment=True)
        return list(batches.as_numpy_iterator())

    everything, rest = read(0), read(3)
    assert (len(everything), len(rest)) == (5, 2)
    for ours, theirs in zip(everything[3:], rest, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    assert everything[0].images.shape == (18, 8, 8, 3)
    assert np.any(everything[0].images != everything[1].images)
