import os

import numpy as np
import pytest
import tensorflow as tf

from keras_tinytrain.folders import ImageFolder
from keras_tinytrain.image_files import decode_image


def write_png(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_png(np.asarray(image, np.uint8)).numpy())


def plain(value, size=(4, 4), channels=3):
    return np.full((*size, channels), value, np.uint8)


@pytest.fixture
def root(tmp_path):
    """Two classes of three images, written out of order."""
    for i, name in ((2, "b"), (0, "b"), (1, "a"), (0, "a"), (1, "b"), (2, "a")):
        value = 10 * i + (100 if name == "b" else 0)
        write_png(tmp_path / name / f"{i}.png", plain(value))
    return tmp_path


def test_classes_and_images_are_sorted(root, monkeypatch):
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listdir(path)[::-1])
    dataset = ImageFolder(root, image_size=(4, 4))
    assert dataset.name == root.name
    assert dataset.classes == ("a", "b")
    keys = [item.key for item in dataset.items("b")]
    assert keys == ["b/0.png", "b/1.png", "b/2.png"]
    assert (
        len({item.group for name in "ab" for item in dataset.items(name)}) == 6
    )
    images = dataset.load(dataset.items("b"))
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[:, 0, 0, 0], [100, 110, 120])


def test_group_and_superclass_are_asked(root):
    dataset = ImageFolder(
        root,
        group=lambda class_name, file: (class_name, file[0] == "0"),
        superclass=str.upper,
    )
    groups = [item.group for item in dataset.items("a")]
    assert groups == [("a", True), ("a", False), ("a", False)]
    assert dataset.superclass("b") == "B"


def test_resize_stretches_and_antialiases(tmp_path):
    # Stripes one pixel wide: halving them leaves grey, not a stripe.
    stripes = np.zeros((8, 16, 3), np.uint8)
    stripes[:, ::2] = 200
    write_png(tmp_path / "a" / "stripes.png", stripes)
    dataset = ImageFolder(tmp_path, image_size=(8, 4))
    image = dataset.load(dataset.items("a"))[0]
    assert image.shape == (8, 4, 3)
    assert np.abs(image.astype(int) - 100).max() <= 30


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_png_becomes_rgb(tmp_path, channels):
    write_png(tmp_path / "a" / "x.png", plain(77, channels=channels))
    dataset = ImageFolder(tmp_path, image_size=(4, 4))
    image = dataset.load(dataset.items("a"))[0]
    np.testing.assert_array_equal(image, plain(77))


@pytest.mark.parametrize("kind", ["jpg", "JPEG", "bmp", "gif"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_other_formats(tmp_path, kind, mode):
    pillow = pytest.importorskip("PIL.Image")
    (tmp_path / "a").mkdir()
    image = pillow.fromarray(plain(128)).convert(mode)
    image.save(tmp_path / "a" / f"x.{kind}")
    dataset = ImageFolder(tmp_path, image_size=(6, 5))
    image = dataset.load(dataset.items("a"))[0]
    np.testing.assert_allclose(image, plain(128, size=(6, 5)), atol=2)


def test_other_files_are_passed_over(root):
    (root / "notes.txt").write_text("x")
    (root / ".hidden").mkdir()
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / "._0.png").write_text("x")
    dataset = ImageFolder(root)
    assert dataset.classes == ("a", "b")
    assert len(dataset.items("a")) == 3


def test_images_are_decoded_once_unless_replaced(root, monkeypatch):
    decode, calls = tf.io.decode_image, []

    def counted(*args, **kwargs):
        calls.append(1)
        return decode(*args, **kwargs)

    monkeypatch.setattr(tf.io, "decode_image", counted)
    dataset = ImageFolder(root, image_size=(4, 4))
    items = dataset.items("a")
    first = dataset.load(items)
    first[:] = 0  # A caller owns what it got.
    np.testing.assert_array_equal(dataset.load(items)[:, 0, 0, 0], [0, 10, 20])
    assert len(calls) == 3
    write_png(root / "a" / "0.png", plain(55))
    os.utime(root / "a" / "0.png", ns=(1, 1))
    assert dataset.load(items[:1])[0, 0, 0, 0] == 55


@pytest.mark.parametrize("data", [b"", b"not an image", None])
def test_a_corrupt_image_is_named(root, data):
    path = root / "b" / "1.png"
    path.write_bytes(path.read_bytes()[:-20] if data is None else data)
    dataset = ImageFolder(root)
    with pytest.raises(ValueError, match=r"can be decoded.*1.png"):
        dataset.load(dataset.items("b"))


def test_a_class_without_images_is_named(root):
    (root / "empty").mkdir()
    with pytest.raises(ValueError, match=r"every class folder.*empty"):
        ImageFolder(root)


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no folder in it"):
        ImageFolder(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ImageFolder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((0, 0, 1, 1), (0, 10), (0, 20)),
        ((0.35, 0.3, 0.55, 0.6), (3, 6), (6, 13)),
        ((-1, -0.1, 0.15, 2), (0, 2), (0, 20)),
        ((0.4, 0.4, 0.4, 0.4), (4, 5), (8, 9)),
        ((1, 1, 1, 1), (9, 10), (19, 20)),
    ],
)
def test_a_box_is_cut_out(box, rows, columns):
    image = np.random.default_rng(0).integers(256, size=(10, 20, 3))
    data = tf.io.encode_png(image.astype(np.uint8)).numpy()
    expected = image[slice(*rows), slice(*columns)]
    cut = decode_image(data, expected.shape[:2], origin="x", box=box)
    np.testing.assert_array_equal(cut, expected)


@pytest.mark.parametrize("size", [96, (96,), (0, 96), (96.0, 96), None])
def test_bad_image_sizes_are_refused(root, size):
    with pytest.raises(ValueError, match=r"Expected `image_size`.*Received"):
        ImageFolder(root, image_size=size)
