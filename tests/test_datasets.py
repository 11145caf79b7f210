import hashlib
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_tinytrain import datasets
from keras_tinytrain.datasets import DATA_VARIABLE, ArrayDataset, load
from keras_tinytrain.episodes import (
    check_examples,
    draw_episode,
    sample_episode,
)
from keras_tinytrain.folders import ImageFolder
from keras_tinytrain.tfds_sources import DIR_VARIABLE

AVAILABLE = (
    "traffic_sign",
    "omniglot",
    "flower",
    "cub",
    "dtd",
    "quickdraw",
    "mscoco",
    "mini_imagenet",
    "mini_imagenet_val",
    "mini_imagenet_test",
)


def real(name, **kwargs):
    """A folder of real images, or a skipped test."""
    try:
        dataset = load(name, **kwargs)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    if not isinstance(dataset, ImageFolder):
        pytest.skip(f"no folder of {name} in {DATA_VARIABLE}")
    return dataset


def write_dataset(root, classes, files):
    for i, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for j, file in enumerate(files):
            image = np.full((4, 4, 3), 10 * i + j, np.uint8)
            (root / name / file).write_bytes(tf.io.encode_png(image).numpy())
    return root


def assert_no_group_is_shared(drawn):
    support = {item.group for items in drawn.support for item in items}
    query = {item.group for items in drawn.query for item in items}
    assert not support & query


@pytest.mark.parametrize("name", AVAILABLE)
@pytest.mark.parametrize("fixed", [{}, {"way": 5, "shot": 5}])
def test_real_episodes_keep_the_protocol(name, fixed):
    dataset = real(name)
    for seed in range(150):
        drawn = draw_episode(dataset, seed=seed, **fixed)
        assert_no_group_is_shared(drawn)
        assert 5 <= len(drawn.classes) <= min(50, len(dataset.classes))
        (queries,) = {len(items) for items in drawn.query}
        assert queries <= 10
        shots = [len(items) for items in drawn.support]
        assert min(shots) >= 1
        assert sum(shots) <= 500
        assert len({dataset.superclass(x) for x in drawn.classes}) == 1
        if fixed:
            assert queries == 10
            assert set(shots) == {5}


# The file names are read here once more, independently of the loader.
def test_real_traffic_signs_come_from_different_tracks():
    dataset = real("traffic_sign")
    for seed in range(100):
        drawn = draw_episode(dataset, seed=seed)
        for support, query in zip(drawn.support, drawn.query, strict=True):
            tracks = [
                {item.key.split("_")[0] for item in side}
                for side in (support, query)
            ]
            assert not tracks[0] & tracks[1]


def test_real_photographs_are_on_one_side():
    dataset = real("mscoco")
    for seed in range(100):
        drawn = draw_episode(dataset, seed=seed)
        photographs = [
            {pathlib.Path(i.key).stem.split("_")[0] for x in side for i in x}
            for side in (drawn.support, drawn.query)
        ]
        assert not photographs[0] & photographs[1]


def test_real_omniglot_episodes_have_one_alphabet():
    dataset = real("omniglot")
    alphabets = set()
    for seed in range(60):
        drawn = draw_episode(dataset, seed=seed)
        (alphabet,) = {name.split("-character")[0] for name in drawn.classes}
        alphabets.add(alphabet)
    assert len(alphabets) == 5


@pytest.mark.parametrize("name", ["cub", "mscoco", "omniglot"])
def test_real_images_load(name):
    dataset = real(name, image_size=(48, 64))
    episode = sample_episode(dataset, seed=0, way=5, shot=2, query=3)
    check_examples(episode.support, channels=3)
    check_examples(episode.query, way=5, channels=3)
    assert episode.query.images.shape == (15, 48, 64, 3)
    assert episode.query.images.std() > 10


def test_real_visual_wake_words_has_two_classes():
    dataset = real("vww")
    drawn = draw_episode(dataset, seed=0, way=2, shot=10)
    assert sorted(drawn.classes) == ["no_person", "person"]
    with pytest.raises(ValueError, match=r"at least 5.*Give a smaller `way`"):
        draw_episode(dataset, seed=0)


def test_another_process_draws_the_same_bytes(tmp_path):
    root = write_dataset(
        tmp_path / "pictures",
        [f"class{i}" for i in range(8)],
        [f"{i}.png" for i in range(9)],
    )
    program = (
        "import hashlib, sys\n"
        "from keras_tinytrain import datasets, episodes\n"
        "e = episodes.sample_episode(datasets.load(sys.argv[1]), seed=5)\n"
        "parts = [e.support.images, e.support.labels, e.query.images]\n"
        "data = b''.join(x.tobytes() for x in parts)\n"
        "data += ' '.join(e.classes).encode()\n"
        "print(hashlib.sha256(data).hexdigest())"
    )
    here = str(pathlib.Path(datasets.__file__).parents[1])
    env = {**os.environ, "PYTHONHASHSEED": "123", "PYTHONPATH": here}
    there = subprocess.run(
        [sys.executable, "-c", program, str(root)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[-1]
    episode = sample_episode(load(root), seed=5)
    parts = [
        episode.support.images,
        episode.support.labels,
        episode.query.images,
    ]
    data = b"".join(x.tobytes() for x in parts)
    data += " ".join(episode.classes).encode()
    assert hashlib.sha256(data).hexdigest() == there


@pytest.mark.parametrize("given", ["gtsrb", "traffic_sign", "path"])
def test_names_aliases_and_paths_give_the_same(tmp_path, monkeypatch, given):
    files = [f"{i:05d}_{j:05d}.png" for i in range(3) for j in range(2)]
    root = write_dataset(tmp_path / "gtsrb", ["00", "01"], files)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    dataset = load(root if given == "path" else given)
    assert dataset.name == "traffic_sign"
    groups = [
        item.group for name in ("00", "01") for item in dataset.items(name)
    ]
    assert groups[:3] == ["00/00000", "00/00000", "00/00001"]
    assert len(set(groups)) == 6


def test_a_dataset_pickles(tmp_path):
    # Workers of an evaluation get their datasets this way.
    write_dataset(tmp_path / "gtsrb", ["00"], ["00000_00001.png"])
    dataset = pickle.loads(pickle.dumps(load(tmp_path / "gtsrb")))
    assert dataset.items("00")[0].group == "00/00000"


def test_mini_imagenet_is_its_training_classes(tmp_path, monkeypatch):
    for split in ("train", "val", "test"):
        write_dataset(tmp_path / f"miniimagenet_{split}", [split], ["0.png"])
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert load("mini_imagenet").classes == ("train",)
    assert load("mini_imagenet_val").classes == ("val",)
    assert load("miniimagenet_test").name == "mini_imagenet_test"


def test_an_unknown_name_lists_the_nearest_first():
    with pytest.raises(ValueError, match="nearest first: omniglot, "):
        load("omniglott")
    with pytest.raises(ValueError, match="Expected the name of a dataset"):
        load("")  # Not the current folder.


def test_an_absent_dataset_says_where_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    monkeypatch.setenv(DIR_VARIABLE, str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=f"fungi.*Set .*{DATA_VARIABLE}"
    ):
        load("fungi")
    monkeypatch.delenv(DATA_VARIABLE)
    with pytest.raises(FileNotFoundError, match=f"Set .*{DATA_VARIABLE}"):
        load("cub")


@pytest.mark.parametrize("path", [pathlib.Path("nowhere"), "no/where"])
def test_an_absent_path_is_refused(path):
    with pytest.raises(FileNotFoundError, match=r"nowhere|no/where"):
        load(path)


def test_arrays_make_episodes():
    labels = np.repeat(np.arange(6), 20)
    images = np.arange(120, dtype="float32").reshape(-1, 1, 1, 1)
    dataset = ArrayDataset(images, labels, name="numbers")
    assert dataset.classes == ("0", "1", "2", "3", "4", "5")
    episode = sample_episode(dataset, seed=0, way=5, shot=3)
    for examples in (episode.support, episode.query):
        owners = (examples.images[:, 0, 0, 0] // 20).astype(int)
        names = [episode.classes[label] for label in examples.labels]
        assert [str(owner) for owner in owners] == names
    episode.support.images[:] = -1  # A caller owns what it got.
    assert images.min() == 0


def test_arrays_with_groups():
    dataset = ArrayDataset(
        np.zeros((120, 1, 1, 1)),
        np.repeat(np.arange(6), 20),
        classes=list("abcdef"),
        groups=np.arange(120) % 8,
    )
    for seed in range(20):
        drawn = draw_episode(dataset, seed=seed)
        assert set(drawn.classes) <= set("abcdef")
        assert_no_group_is_shared(drawn)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((4, 8, 8))}, "shape"),
        ({"labels": np.array([0.0, 0.0, 1.0, 1.0])}, "float64"),
        ({"labels": np.array([0, 0, 2, 2])}, "labels 0, 2"),
        ({"classes": ["a"]}, "Expected 2 different class names"),
        ({"classes": ["a", "a"]}, "Expected 2 different class names"),
        ({"groups": [0]}, "1 groups for 4 images"),
    ],
)
def test_bad_arrays_are_refused(changes, words):
    arguments = {
        "images": np.zeros((4, 8, 8, 1)),
        "labels": np.array([0, 0, 1, 1]),
        **changes,
    }
    with pytest.raises(ValueError, match=words):
        ArrayDataset(**arguments)
