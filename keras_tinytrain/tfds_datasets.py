"""Datasets that tensorflow-datasets has prepared, read where they lie."""

import dataclasses
import functools
import importlib.util
import os
import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_tinytrain.class_splits import choose_classes, official
from keras_tinytrain.episodes import Item
from keras_tinytrain.folders import (
    CACHED_IMAGES,
    check_image_size,
    decode_image,
)
from keras_tinytrain.record_files import iterate_records, read_record

DIR_VARIABLE = "TFDS_DATA_DIR"
DEFAULT_DIR = "~/tensorflow_datasets"
INSTALL = "pip install 'keras_tinytrain[datasets]'"

# Meta-Dataset takes 20 % more of a photograph than the box of an object.
BOX_SCALE = 1.2


@dataclasses.dataclass(frozen=True)
class Source:
    """A dataset of tensorflow-datasets.

    Args:
        builder: Its name there.
        parts: Its splits to read, all that have labels. The classes are
            split anew, so an image may come from any of them.
        numbered: Whether label i is class i of the official list.
        objects: Whether the images are photographs with boxes of objects,
            which are cut out.
        split: The classes to offer when none are asked for.
        most: Images of a class that are enough. All when None.
    """

    builder: str
    parts: tuple[str, ...]
    numbered: bool = False
    objects: bool = False
    split: str | None = "test"
    most: int | None = None


SOURCES = {
    "traffic_sign": Source(
        "visual_domain_decathlon/gtsrb", ("train", "validation")
    ),
    "omniglot": Source("omniglot", ("train", "test")),
    "aircraft": Source(
        "visual_domain_decathlon/aircraft", ("train", "validation"), split=None
    ),
    "flower": Source(
        "oxford_flowers102", ("train", "validation", "test"), numbered=True
    ),
    "cub": Source("caltech_birds2011", ("train", "test"), numbered=True),
    "dtd": Source("dtd", ("train", "validation", "test")),
    "quickdraw": Source("quickdraw_bitmap", ("train",), most=1000),
    "mscoco": Source("coco/2017", ("train",), objects=True, most=1000),
}


def data_dir() -> pathlib.Path:
    """Returns the folder where tensorflow-datasets prepares datasets."""
    return pathlib.Path(
        os.environ.get(DIR_VARIABLE) or DEFAULT_DIR
    ).expanduser()


def is_installed() -> bool:
    """Whether tensorflow-datasets is installed, found without importing it."""
    return importlib.util.find_spec("tensorflow_datasets") is not None


def find_prepared(name: str) -> pathlib.Path | None:
    """Returns the folder of the newest prepared version, None without one.

    Args:
        name: One of `SOURCES`.
    """
    found = {}
    for file in (data_dir() / SOURCES[name].builder).glob("*/features.json"):
        version = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", file.parent.name)
        if version:
            found[tuple(map(int, version.groups()))] = file.parent
    return found[max(found)] if found else None


def prepare(name: str) -> pathlib.Path:
    """Downloads a dataset and prepares it.

    This can be much: 37 GB to download for quickdraw, 25 GB for mscoco. Some
    datasets need more packages, which tensorflow-datasets then names.

    Args:
        name: One of `SOURCES`.

    Returns:
        The folder of the prepared version.

    Raises:
        ImportError: If tensorflow-datasets is not installed.
    """
    builder = _tfds().builder(SOURCES[name].builder, data_dir=data_dir())
    builder.download_and_prepare()
    return pathlib.Path(builder.data_dir)


class TfdsDataset:
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
        self.name = name
        self.path = pathlib.Path(path).absolute()
        self.image_size = check_image_size(image_size)
        self._superclass = superclass
        source = SOURCES[name]
        info = _tfds().builder_from_directory(self.path).info
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

    def items(self, class_name: str) -> tuple[Item, ...]:
        """Returns the images of a class; their keys are file, place, box."""
        return self._items[class_name]

    def superclass(self, class_name: str) -> str | None:
        """Returns the set of classes that an episode stays inside."""
        return self._superclass(class_name) if self._superclass else None

    def load(self, items: Sequence[Item]) -> np.ndarray:
        """Decodes images.

        Args:
            items: Some of the `items` of any classes.

        Returns:
            RGB images `(n, height, width, 3)`, uint8.

        Raises:
            ValueError: If an image cannot be read.
        """
        images = np.empty((len(items), *self.image_size, 3), np.uint8)
        for image, item in zip(images, items, strict=True):
            file, place, box = item.key
            image[:] = _read(str(self.path / file), place, box, self.image_size)
        return images


def _tfds():
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ImportError(
            "Expected tensorflow-datasets, to read or prepare a dataset. "
            f"Received: {error}. Run `{INSTALL}`"
        ) from error
    return tensorflow_datasets


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
