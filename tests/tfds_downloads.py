"""Small made-up downloads for the real builders of tensorflow-datasets."""

import io
import itertools
import json
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from keras_tinytrain.class_splits import official

PER_CLASS = 6  # Images of each class, with few exceptions.


def png(value, size=(4, 4), channels=3):
    image = np.full((*size, channels), value, np.uint8)
    return tf.io.encode_png(image).numpy()


def jpeg(value, size=(8, 8)):
    image = np.full((*size, 3), value, np.uint8)
    return tf.io.encode_jpeg(image, quality=100).numpy()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def names_of(name):
    return sorted(x for part in official(name).values() for x in part)


def dtd(root, urls):
    """The textures of the i-th class in order of name have the value 5 i."""
    names = names_of("dtd")
    parts = ("train1", "val1", "test1")
    for part, number in itertools.product(parts, range(2)):
        files = [f"{x}/{x}_{part}{number}.jpg" for x in names]
        with open(root / f"{part}.txt", "a") as file:
            file.writelines(f"{x}\n" for x in files)
        for i, file in enumerate(files):
            write(root / "dtd" / "images" / file, jpeg(5 * i))
    for part in parts:
        text = (root / f"{part}.txt").read_text()
        write(root / "dtd" / "labels" / f"{part}.txt", text)
    return root


def quickdraw(root, urls):
    """Only some classes have drawings; those of one class have one value."""
    paths = {}
    for i, label in enumerate(sorted(urls)):
        count = PER_CLASS if label in official("quickdraw")["test"] else 1
        paths[label] = root / f"{i}.npy"
        np.save(paths[label], np.full((count, 784), i % 256, np.uint8))
    return paths


def omniglot(root, urls):
    """Six characters in each alphabet, the last one with the other letters."""
    evaluation = official("omniglot")["test"]
    background = official("omniglot")["train"] + official("omniglot")["valid"]
    number = 0
    for part, alphabets in (("train", background), ("eval", evaluation)):
        for alphabet in alphabets:
            more = 1623 - 6 * 49 if alphabet == evaluation[-1] else 6
            for character in range(1, more + 1):
                number += 1
                for drawing in range(PER_CLASS if character < 7 else 1):
                    path = f"{alphabet}/character{character:02d}"
                    file = f"{number:04d}_{drawing + 1:02d}.png"
                    write(root / part / "x" / path / file, b"png")
    for part in ("small1", "small2"):
        path = f"{part}/x/{background[0]}/character01/0001_01.png"
        write(root / path, b"png")
    return {part: root / part for part in urls}


def decathlon(root, urls):
    """The test images have no labels there."""
    for config, classes in (("aircraft", 100), ("gtsrb", 43)):
        ids = [f"c{i}" for i in range(classes)]
        with tarfile.open(root / f"{config}.tar", "w") as archive:
            for part in ("train", "val", "test_stripped"):
                images, notes = [], []
                for i in range(classes * PER_CLASS // 2):
                    file = f"{config}/{part}/{i:06d}.jpg"
                    images.append({"id": i, "file_name": f"data/{file}"})
                    notes.append(
                        {"image_id": i, "category_id": ids[i % classes]}
                    )
                    data = jpeg(2 * (i % classes))
                    entry = tarfile.TarInfo(file)
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
                content = {
                    "images": images,
                    "annotations": notes,
                    "categories": [{"id": x} for x in ids],
                }
                path = root / "decathlon-1.0" / "annotations"
                write(path / f"{config}_{part}.json", json.dumps(content))
    return [root, root]


def flowers(root, urls):
    """Images of class i, counted from one, have the value 2 i."""
    savemat = pytest.importorskip("scipy.io").savemat
    count = 102 * PER_CLASS
    labels = np.arange(count) % 102 + 1
    for i in range(count):
        data = jpeg(2 * labels[i])
        write(root / "images" / "jpg" / f"image_{i + 1:05d}.jpg", data)
    savemat(root / "labels.mat", {"labels": labels[np.newaxis]})
    thirds = np.split(np.arange(count)[np.newaxis] + 1, 3, axis=1)
    parts = dict(zip(("trnid", "valid", "tstid"), thirds, strict=True))
    savemat(root / "setid.mat", parts)
    return {
        "images": root / "images",
        "labels": root / "labels.mat",
        "setid": root / "setid.mat",
    }


def coco(root, urls):
    """Photographs with a box of 5 x 5 pixels of each of two classes."""
    names = [*official("mscoco")["valid"], *official("mscoco")["test"]]
    categories = [{"id": 2 * i, "name": x} for i, x in enumerate(names)]
    images, notes = [], []
    for i in range(80 * PER_CLASS // 2):
        file = f"{i:012d}.jpg"
        photograph = np.zeros((40, 60, 3), np.uint8)
        images.append({"id": i, "file_name": file, "height": 40, "width": 60})
        for j, left in enumerate((2, 40)):
            value = 3 * ((i + j) % 80)
            photograph[10:15, left : left + 5] = value
            notes.append(
                {
                    "id": 2 * i + j,
                    "image_id": i,
                    "category_id": 2 * ((i + j) % 80),
                    "bbox": [left, 10, 5, 5],
                    "area": 25,
                    "iscrowd": 0,
                }
            )
        data = tf.io.encode_png(photograph).numpy()
        write(root / "train2017" / file, data)
    for part, chosen, kept in (
        ("instances_train", images, notes),
        ("instances_val", images[:1], notes[:2]),
        ("image_info_test", images[:1], []),
    ):
        year = f"{part.rpartition('_')[2]}2017"
        if part != "instances_train":
            write(root / year / images[0]["file_name"], png(0, (40, 60)))
        content = {
            "images": chosen,
            "annotations": kept,
            "categories": categories,
        }
        path = root / "annotations" / f"{part}2017.json"
        write(path, json.dumps(content))
    return dict.fromkeys(urls, root)


DOWNLOADS = {
    "dtd": dtd,
    "quickdraw": quickdraw,
    "omniglot": omniglot,
    "aircraft": decathlon,
    "traffic_sign": decathlon,
    "flower": flowers,
    "mscoco": coco,
}


def birds_builder(folder):
    """The features of the real builder, which needs OpenCV to generate."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.image_classification import caltech_birds

    real = caltech_birds.CaltechBirds2011

    class CaltechBirds2011(real, skip_registration=True):
        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples(range(3)),
                "test": self._generate_examples(range(3, PER_CLASS)),
            }

        def _generate_examples(self, numbers):
            for label, number in itertools.product(range(200), numbers):
                yield (
                    f"{label}_{number}",
                    {
                        "image": io.BytesIO(jpeg(label)),
                        "image/filename": f"{label}_{number}.jpg",
                        "label": label,
                        "label_name": "in_small_letters",
                        "bbox": tfds.features.BBox(0.0, 0.0, 0.5, 0.5),
                        "segmentation_mask": np.zeros((8, 8, 1), np.uint8),
                    },
                )

    return CaltechBirds2011(data_dir=folder)
