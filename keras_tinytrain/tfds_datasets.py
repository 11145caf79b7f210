"""Datasets that tensorflow-datasets has prepared, read where they lie."""

import functools
import os
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_tinytrain.class_splits import choose_classes, official
from keras_tinytrain.episodes import Item
from keras_tinytrain.image_files import (
    CACHED_IMAGES,
    ImageDataset,
    decode_image,
)
from keras_tinytrain.record_files import iterate_records, read_record
from keras_tinytrain.tfds_sources import SOURCES, import_tfds

# Meta-Dataset takes 20 % more of a photograph than the box of an object.
BOX_SCALE = 1.2


class TfdsDataset(ImageDataset):
    """Reads a dataset that tensorflow-datasets has prepared.

    All records are read once, to find the images of each class (20 GB for
    mscoco). Then only their places are in memory, and in a pickle. An image
    is read again and decoded when it is asked for; the last few thousand
    are kept.

    What tensorflow-datasets has is not always what Meta-Dataset made of it:

    - traffic_sign does not say which frames show the same sign, so one may be
      in support and query both. Accuracy is too good; compare it only with
      itself. A folder with tracks in the names is fairer.
    - aircraft has labels without names, so the official classes are not
      known: all 100 are offered, where the official test has 15. Images are
      72 pixels high and not cut to the box of the aircraft.
    - quickdraw and mscoco stop at 1000 images of a class, the first ones of
      the files, which are shuffled. So their larger classes count as equal
      when the shots are drawn.
    - omniglot is black on white, as published; Meta-Dataset inverts it.

    Boxes of mscoco are cut out, a fifth larger than they are, as in
    Meta-Dataset; those of one photograph are one group. Birds are whole
    photographs, in Meta-Dataset too.

    Args:
        name: One of `SOURCES`.
        path: The folder of a prepared version, such as `dtd/3.0.1`.
        image_size: `(height, width)` of the images.
        split: Which classes of Meta-Dataset: `"train"`, `"valid"`, `"test"`,
            all when None. By default those for test, if they are known.
        superclass: Function from class name to the set of classes that an
            episode stays inside. All classes are one set when None.

    Raises:
        ImportError: If tensorflow-datasets is not installed.
        ValueError: If the split is not known, or the files are damaged.

    Example:

    >>> dataset = TfdsDataset("dtd", find_prepared("dtd"))
    >>> len(dataset.classes)
    7
    """

    def __init__(
        self,
        name: str,
        path: str | os.PathLike,
        *,
        image_size: tuple[int, int] = (128, 128),
        split: str | None = "auto",
        superclass: Callable[[str], str] | None = None,
    ):
        super().__init__(name, image_size, superclass)
        self.path = pathlib.Path(path).absolute()
        source = SOURCES[name]
        info = import_tfds().builder_from_directory(self.path).info
        features = info.features["objects"] if source.objects else info.features
        names = _class_names(name, features["label"].names)
        split = source.split if split == "auto" else split
        self.classes = tuple(sorted(names))
        if split is not None:
            self.classes = choose_classes(name, self.classes, split)
        files = [
            f for part in source.parts for f in info.splits[part].filepaths
        ]
        self._items = _read_items(files, names, self.classes, source)

    def decode(self, item: Item) -> np.ndarray:
        """Returns the image of an item, whose key is file, place, box."""
        file, place, box = item.key
        return _read(str(self.path / file), place, box, self.image_size)


def _class_names(name, labels):
    """The name of the class of each label, as in Meta-Dataset if known."""
    if name == "omniglot":  # Alphabet_0 is Alphabet-character01.
        parts = [label.rpartition("_") for label in labels]
        return [f"{x[0]}-character{int(x[2]) + 1:02d}" for x in parts]
    if SOURCES[name].numbered:
        return sorted(x for names in official(name).values() for x in names)
    return labels


def _read_items(files, names, classes, source):
    """Finds the items of the classes in the order of the files."""
    items = {class_name: [] for class_name in classes}
    missing = set(classes)  # Classes that do not have enough yet.
    for file in files:
        file_name = file.name
        for place, record in iterate_records(file):
            for label, box, group in _contents(record, source):
                class_name = names[label]
                if class_name not in missing:
                    continue
                key = (file_name, place, box)
                item = Item(key, key if group is None else group)
                items[class_name].append(item)
                if len(items[class_name]) == source.most:
                    missing.remove(class_name)
            if not missing:
                return {k: tuple(v) for k, v in items.items()}
    return {k: tuple(v) for k, v in items.items()}


def _contents(record, source):
    """Lists the labels in a record, each with its box and its group."""
    features = tf.train.Example.FromString(record).features.feature
    if not source.objects:
        return [(features["label"].int64_list.value[0], None, None)]
    labels = features["objects/label"].int64_list.value
    boxes = np.reshape(features["objects/bbox"].float_list.value, (-1, 4))
    photograph = features["image/id"].int64_list.value[0]
    return [
        (label, _enlarged(box), photograph)
        for label, box in zip(labels, boxes, strict=True)
    ]


def _enlarged(box):
    """Makes a box (top, left, bottom, right) larger around its middle."""
    top, left, bottom, right = box.tolist()
    y = (bottom - top) * (BOX_SCALE - 1) / 2
    x = (right - left) * (BOX_SCALE - 1) / 2
    return top - y, left - x, bottom + y, right + x


@functools.lru_cache(maxsize=CACHED_IMAGES)
def _read(path, place, box, image_size):
    """Reads one image as uint8 RGB `(height, width, 3)`."""
    example = tf.train.Example.FromString(read_record(path, place))
    (data,) = example.features.feature["image"].bytes_list.value
    return decode_image(
        data, image_size, origin=f"{path}, byte {place}", box=box
    )
