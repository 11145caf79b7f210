"""Reads what the real builders of tensorflow-datasets prepare.

Only their downloads are replaced, by small made-up ones; only the birds, which
need OpenCV, have a generator of ours under the features of the real builder.
"""

import dataclasses
import os
import pathlib
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tfds_downloads import (
    DOWNLOADS,
    PER_CLASS,
    birds_builder,
    names_of,
    png,
    write,
)

from keras_tinytrain import (
    datasets,
    image_files,
    tfds_datasets,
    tfds_sources,
)
from keras_tinytrain.class_splits import official
from keras_tinytrain.episodes import draw_episode, sample_episode
from keras_tinytrain.folders import ImageFolder
from keras_tinytrain.tfds_datasets import TfdsDataset
from keras_tinytrain.tfds_sources import SOURCES, find_prepared

REASON = "tensorflow-datasets is not installed"
tfds = pytest.importorskip("tensorflow_datasets", reason=REASON)
ALL = tuple(SOURCES)


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """Replaces downloads: `download(name)` says what the next one will be."""
    with pytest.MonkeyPatch.context() as patch:

        def replace(name):
            root = tmp_path_factory.mktemp(name)
            manager = tfds.download.DownloadManager
            for method in ("download", "download_and_extract"):
                patch.setattr(
                    manager, method, lambda _, urls: DOWNLOADS[name](root, urls)
                )

        tfds.disable_progress_bar()
        yield replace


@pytest.fixture(scope="module")
def folder(tmp_path_factory, download):
    """A folder in which every dataset is prepared."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(tfds_sources.DIR_VARIABLE, str(folder))
        for name in DOWNLOADS:
            download(name)
            tfds_sources.prepare(name)
        birds_builder(folder).download_and_prepare()
    return folder


@pytest.fixture
def prepared(folder, monkeypatch):
    monkeypatch.setenv(tfds_sources.DIR_VARIABLE, str(folder))
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    return folder


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """Neither a folder nor anything prepared."""
    monkeypatch.setenv(tfds_sources.DIR_VARIABLE, str(tmp_path / "tfds"))
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path / "folders"))
    return tmp_path


CLASSES = {
    "traffic_sign": 43,
    "omniglot": 1623 - 6 * 30,
    "aircraft": 100,
    "flower": 16,
    "cub": 30,
    "dtd": 7,
    "quickdraw": 52,
    "mscoco": 40,
}


@pytest.mark.parametrize("name", ALL)
def test_test_classes_are_offered(prepared, name):
    dataset = datasets.load(name)
    assert isinstance(dataset, TfdsDataset)
    assert dataset.name == name
    assert len(dataset.classes) == CLASSES[name]
    assert list(dataset.classes) == sorted(dataset.classes)
    if name == "omniglot":
        alphabets = {dataset.superclass(x) for x in dataset.classes}
        assert alphabets == set(official(name)["test"])
        assert "Angelic-character01" in dataset.classes
    elif name in ("traffic_sign", "aircraft"):
        assert "0" in dataset.classes
    else:
        assert set(dataset.classes) == set(official(name)["test"])
    counts = {len(dataset.items(x)) for x in dataset.classes}
    assert counts == {1, PER_CLASS} if name == "omniglot" else {PER_CLASS}


@pytest.mark.parametrize("name", ALL)
def test_episodes_keep_the_protocol(prepared, name):
    dataset = datasets.load(name)
    for seed in range(20):
        drawn = draw_episode(dataset, seed=seed)
        support = {x.group for items in drawn.support for x in items}
        query = {x.group for items in drawn.query for x in items}
        assert not support & query
        assert len({dataset.superclass(x) for x in drawn.classes}) == 1
    assert drawn == draw_episode(datasets.load(name), seed=seed)


# The value of all pixels tells the class, independently of labels and names.
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("traffic_sign", lambda x: 2 * int(x)),
        ("aircraft", lambda x: 2 * int(x)),
        ("flower", lambda x: 2 * int(x[:3])),
        ("cub", lambda x: int(x[:3]) - 1),
        ("dtd", lambda x: 5 * names_of("dtd").index(x)),
        ("quickdraw", lambda x: names_of("quickdraw").index(x) % 256),
    ],
)
def test_images_are_those_of_the_class(prepared, name, value):
    dataset = datasets.load(name, image_size=(3, 5))
    for class_name in dataset.classes:
        images = dataset.load(dataset.items(class_name))
        assert images.shape == (PER_CLASS, 3, 5, 3)
        assert images.dtype == np.uint8
        np.testing.assert_allclose(images, value(class_name), atol=1)


def test_an_episode_loads(prepared):
    dataset = datasets.load("dtd", image_size=(6, 6))
    episode = sample_episode(dataset, seed=0, way=5, shot=2, query=3)
    for examples in (episode.support, episode.query):
        values = [
            5 * names_of("dtd").index(episode.classes[i])
            for i in examples.labels
        ]
        np.testing.assert_allclose(examples.images[:, 0, 0, 0], values, atol=1)


def test_boxes_are_cut_out_a_fifth_larger(prepared):
    dataset = datasets.load("mscoco", split=None, image_size=(7, 7))
    names = [*official("mscoco")["valid"], *official("mscoco")["test"]]
    for i in (5, 79):
        items = dataset.items(names[i])
        images = dataset.load(items)
        # 5 x 5 pixels, and one dark pixel more on each side.
        assert (images[:, 1:-1, 1:-1] == 3 * i).all()
        for side in (0, -1):
            assert (images[:, side] == 0).all()
            assert (images[:, :, side] == 0).all()
        # Both boxes of a photograph are in one group.
        photographs = {x.group for x in items}
        other = {x.group for x in dataset.items(names[(i + 1) % 80])}
        assert len(photographs & other) == PER_CLASS // 2


@pytest.mark.parametrize("split", ["train", "valid", "test", None])
def test_splits_are_chosen(prepared, split):
    birds = datasets.load("cub", split=split)
    assert (
        len(birds.classes)
        == {"train": 140, "valid": 30, "test": 30, None: 200}[split]
    )
    letters = datasets.load("omniglot", split=split)
    alphabets = {letters.superclass(x) for x in letters.classes}
    assert (
        len(alphabets) == {"train": 25, "valid": 5, "test": 20, None: 50}[split]
    )


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("aircraft", "test", "100 other names, 0, 1, 10"),
        ("traffic_sign", "valid", "43 classes, all of test"),
        ("dtd", "validation", "one of train, valid, test.*'validation'"),
    ],
)
def test_impossible_splits_are_refused(prepared, name, split, words):
    with pytest.raises(ValueError, match=words):
        datasets.load(name, split=split)


def test_enough_images_are_enough(prepared, monkeypatch):
    source = dataclasses.replace(SOURCES["quickdraw"], most=2)
    everything = datasets.load("quickdraw")
    monkeypatch.setitem(SOURCES, "quickdraw", source)
    dataset = datasets.load("quickdraw")
    assert dataset.classes == everything.classes
    for name in dataset.classes:
        assert dataset.items(name) == everything.items(name)[:2]


def test_reading_stops_when_there_is_enough(prepared, monkeypatch):
    places = []
    iterate = tfds_datasets.iterate_records

    def counted(path):
        for place, record in iterate(path):
            places.append(place)
            yield place, record

    monkeypatch.setattr(tfds_datasets, "iterate_records", counted)
    datasets.load("quickdraw")
    whole = len(places)
    source = dataclasses.replace(SOURCES["quickdraw"], most=1)
    monkeypatch.setitem(SOURCES, "quickdraw", source)
    datasets.load("quickdraw")
    assert len(places) - whole < whole


def test_a_dataset_pickles_small(prepared):
    dataset = datasets.load("omniglot")
    data = pickle.dumps(dataset)
    again = pickle.loads(data)
    assert draw_episode(again, seed=3) == draw_episode(dataset, seed=3)
    assert again.superclass("Angelic-character01") == "Angelic"


def test_array_records_give_the_same(prepared, download, tmp_path):
    download("dtd")
    builder = tfds.builder("dtd", data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    dataset = TfdsDataset("dtd", builder.data_dir, image_size=(4, 4))
    usual = datasets.load("dtd", image_size=(4, 4))
    for name in usual.classes:
        np.testing.assert_array_equal(
            dataset.load(dataset.items(name)), usual.load(usual.items(name))
        )


def test_images_are_resized_as_in_folders(prepared, tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(28, 28), dtype="uint8")
    data = tf.io.encode_png(noise[..., np.newaxis]).numpy()
    write(tmp_path / "a" / "0.png", data)
    folder = ImageFolder(tmp_path, image_size=(16, 40))
    expected = folder.load(folder.items("a"))[0]
    given = image_files.decode_image(data, (16, 40), origin="here")
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize("kept", [-1, 5, None])
def test_a_damaged_file_is_named(prepared, download, tmp_path, kept):
    download("dtd")
    builder = tfds.builder("dtd", data_dir=tmp_path)
    builder.download_and_prepare()
    (path,) = builder.info.splits["test"].filepaths
    dataset = TfdsDataset("dtd", builder.data_dir, split=None)
    data = pathlib.Path(path).read_bytes()
    if kept is None:  # An image that is none, in a whole record.
        data = data.replace(b"\xff\xd8\xff", b"\0\0\0")
    pathlib.Path(path).write_bytes(data[:kept])
    items = [x for name in dataset.classes for x in dataset.items(name)]
    words = "decoded.*dtd-test" if kept is None else "dtd-test.*cut short"
    with pytest.raises(ValueError, match=words):
        dataset.load(items)
    if kept is not None:
        with pytest.raises(ValueError, match=words):
            TfdsDataset("dtd", builder.data_dir, split=None)


def test_the_newest_version_is_found(nothing):
    builder = nothing / "tfds" / "coco" / "2017"
    for version in ("1.9.0", "1.10.0", "incomplete.AB_1.11.0"):
        write(builder / version / "features.json", "{}")
    assert find_prepared("mscoco") == builder / "1.10.0"
    assert find_prepared("dtd") is None


def test_a_folder_comes_first(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path))
    write(tmp_path / "dtd" / "banded" / "0.png", png(0))
    write(tmp_path / "dtd" / "dotted" / "0.png", png(0))
    dataset = datasets.load("dtd")
    assert isinstance(dataset, ImageFolder)
    assert dataset.classes == ("banded", "dotted")
    assert datasets.load("dtd", split="test").classes == ("banded",)
    assert isinstance(datasets.load("cub"), TfdsDataset)


@pytest.mark.parametrize("name", ["dtd", "mscoco"])
def test_an_absent_dataset_says_what_was_tried(nothing, name):
    builder = SOURCES[name].builder
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load(name)
    for words in (
        str(nothing / "folders"),
        f"of '{builder}' in {str(nothing / 'tfds')!r}",
        f"Set the environment variable {datasets.DATA_VARIABLE}",
        f"`tfds build {builder}`",
        "download=True",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize("name", ["fungi", "mini_imagenet", "vww"])
@pytest.mark.parametrize("download", [False, True])
def test_what_tfds_lacks_can_only_be_a_folder(nothing, name, download):
    words = "tensorflow-datasets does not have this dataset. Set the env"
    with pytest.raises(FileNotFoundError, match=words):
        datasets.load(name, download=download)


def test_missing_datasets_are_reported(nothing, prepared, monkeypatch):
    assert list(datasets.missing()) == ["fungi"]
    monkeypatch.setenv(tfds_sources.DIR_VARIABLE, str(nothing))
    absent = datasets.missing()
    assert tuple(absent) == datasets.TARGETS
    for name, reason in absent.items():
        with pytest.raises(FileNotFoundError, match=re.escape(reason)):
            datasets.load(name)
    assert list(datasets.missing(["cub", "gtsrb"])) == ["cub", "gtsrb"]
    with pytest.raises(ValueError, match="nearest first: omniglot"):
        datasets.missing(["omniglott"])


def test_download_prepares_once(nothing, download, monkeypatch):
    download("dtd")
    dataset = datasets.load("dtd", download=True)
    assert nothing / "tfds" in dataset.path.parents
    monkeypatch.setattr(tfds_sources, "prepare", None)
    monkeypatch.setattr(datasets, "prepare", None)
    assert datasets.load("dtd").classes == dataset.classes
    again = datasets.load("dtd", download=True)
    assert again.items("woven") == dataset.items("woven")


def test_without_tensorflow_datasets(prepared, nothing, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    install = re.escape(tfds_sources.INSTALL)
    with pytest.raises(FileNotFoundError, match=f"not installed .{install}"):
        datasets.load("dtd")
    for error, arguments in (
        (FileNotFoundError, {}),
        (ImportError, {"download": True}),
    ):
        with pytest.raises(error, match=install):
            datasets.load("dtd", **arguments)


def test_the_process_stays_as_it_is(prepared):
    """Nothing is imported before it is needed, and Keras stays Keras 3."""
    program = """
import os, sys
import keras_tinytrain as ktt
ktt.datasets.missing()
assert "tensorflow_datasets" not in sys.modules
dataset = ktt.datasets.load("dtd", image_size=(4, 4))
ktt.sample_episode(dataset, seed=0)
assert "tensorflow_datasets" in sys.modules
assert not {"tensorflow_model_optimization", "tf_keras"} & set(sys.modules)
assert "TF_USE_LEGACY_KERAS" not in os.environ
import keras, tensorflow
assert keras.__version__.startswith("3.")
assert tensorflow.keras.__version__.startswith("3.")
"""
    here = str(pathlib.Path(datasets.__file__).parents[1])
    # From protobuf 6, which Apache Beam needs, of what tensorflow-datasets
    # calls.
    known = "ignore:label() is deprecated:DeprecationWarning"
    process = subprocess.run(
        [sys.executable, "-W", "error", "-W", known, "-c", program],
        env={**os.environ, "PYTHONPATH": here},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
