"""Datasets by name: the nine targets, the source, and arrays in memory."""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from keras_tinytrain.class_splits import choose_classes
from keras_tinytrain.episodes import Examples, Item, check_examples
from keras_tinytrain.folders import ImageFolder
from keras_tinytrain.tfds_datasets import (
    INSTALL,
    SOURCES,
    TfdsDataset,
    data_dir,
    find_prepared,
    is_installed,
    prepare,
)

DATA_VARIABLE = "KERAS_TINYTRAIN_DATA"

# The target datasets, in the order of the tables of the paper.
TARGETS = (
    "traffic_sign",
    "omniglot",
    "aircraft",
    "flower",
    "cub",
    "dtd",
    "quickdraw",
    "fungi",
    "mscoco",
)


def _track(class_name, file):
    """TRACK_FRAME: frames of one sign. Tracks are numbered per class."""
    return f"{class_name}/{file.split('_')[0]}"


def _photograph(class_name, file):
    """IMAGEID_BOX: boxes of one photograph, which has objects of any class."""
    return file.split("_")[0]


def _alphabet(class_name):
    """ALPHABET-characterNN."""
    return class_name.rpartition("-")[0]


@dataclasses.dataclass(frozen=True)
class _Known:
    folder: str
    group: Callable | None = None
    superclass: Callable | None = None


_KNOWN = {
    "traffic_sign": _Known("gtsrb", group=_track),
    "omniglot": _Known("omniglot", superclass=_alphabet),
    "aircraft": _Known("aircraft"),
    "flower": _Known("flowers"),
    "cub": _Known("cub"),
    "dtd": _Known("dtd"),
    "quickdraw": _Known("quickdraw"),
    "fungi": _Known("fungi"),
    "mscoco": _Known("mscoco_crops", group=_photograph),
    "mini_imagenet_train": _Known("miniimagenet_train"),
    "mini_imagenet_val": _Known("miniimagenet_val"),
    "mini_imagenet_test": _Known("miniimagenet_test"),
    "vww": _Known("vww"),
}
_ALIASES = {known.folder: name for name, known in _KNOWN.items()}
_ALIASES["mini_imagenet"] = "mini_imagenet_train"


def load(
    name_or_path: str | os.PathLike,
    *,
    image_size: tuple[int, int] = (128, 128),
    split: str | None = "auto",
    download: bool = False,
) -> ImageFolder | TfdsDataset:
    """Opens a dataset by its name, or a folder by its path.

    A name is looked up in the folder that the environment variable
    `KERAS_TINYTRAIN_DATA` names, then among what tensorflow-datasets has
    prepared in `TFDS_DATA_DIR` (`~/tensorflow_datasets` by default); see
    `TfdsDataset` for how that differs. Known datasets keep what makes their
    episodes fair: the frames of one traffic sign, as far as known, and the
    objects of one photograph of MSCOCO, are never in support and query both;
    an Omniglot episode has the characters of one alphabet. A name comes
    before a folder of that name in the current one: write `"./cub"` for it. A
    path whose last part is the name of such a dataset gets the same; use
    `ImageFolder` for a folder that is called so and is something else.

    Args:
        name_or_path: One of `TARGETS`, `"mini_imagenet"` (its training
            classes), `"mini_imagenet_train"`, `"mini_imagenet_val"`,
            `"mini_imagenet_test"`, `"vww"`, the name of the folder of one of
            these, or a path.
        image_size: `(height, width)` of the images.
        split: Which classes: those that Meta-Dataset has for `"train"`,
            `"valid"` or `"test"`, or all when None. `"auto"` is `"test"` for
            a dataset of tensorflow-datasets with known splits, and None for
            a folder: who made it has chosen its classes.
        download: Whether to download and prepare a dataset that is neither
            in a folder nor prepared. Nothing is downloaded otherwise.

    Returns:
        An `ImageFolder` or a `TfdsDataset`.

    Raises:
        ValueError: If the name or the split is not known.
        FileNotFoundError: If the dataset or the path is not there.

    Example:

    >>> episode = ktt.sample_episode(load("traffic_sign"), seed=0)
    """
    text = os.fspath(name_or_path)
    name = _ALIASES.get(text, text)
    path = pathlib.Path(text).absolute()
    may_be_name = isinstance(name_or_path, str) and path.name == text
    if may_be_name and name in _KNOWN:
        path = _folder(name)
    elif may_be_name and not path.exists():
        raise _unknown(text)
    else:
        name = _ALIASES.get(path.name, path.name)
    known = _KNOWN.get(name, _Known(name))
    if path is None:
        return TfdsDataset(
            name,
            _prepared(name, download),
            image_size=image_size,
            split=split,
            superclass=known.superclass,
        )
    dataset = ImageFolder(
        path,
        image_size=image_size,
        name=name,
        group=known.group,
        superclass=known.superclass,
    )
    if split not in ("auto", None):
        dataset.classes = choose_classes(name, dataset.classes, split)
    return dataset


def missing(names: Sequence[str] = TARGETS) -> dict[str, str]:
    """Returns which of some known datasets are not there, and why.

    Args:
        names: Names of datasets that `load` knows.

    Returns:
        For each dataset that is not there, what `load` would say.

    Raises:
        ValueError: If a name is not known.

    Example:

    >>> list(missing())
    ['aircraft', 'fungi']
    """
    reasons = {}
    for given in names:
        name = _ALIASES.get(given, given)
        if name not in _KNOWN:
            raise _unknown(given)
        try:
            if _folder(name) is None:
                _prepared(name)
        except FileNotFoundError as error:
            reasons[given] = str(error)
    return reasons


def _folder(name):
    """The folder of a known dataset, None when it has none."""
    root = os.environ.get(DATA_VARIABLE)
    path = pathlib.Path(root or "", _KNOWN[name].folder).absolute()
    return path if root and path.is_dir() else None


def _prepared(name, download=False):
    """Where tensorflow-datasets has a known dataset that has no folder."""
    root, folder = os.environ.get(DATA_VARIABLE), _KNOWN[name].folder
    tried = f"{DATA_VARIABLE}={root!r}, with no folder {folder!r} in it"
    remedy = (
        f"Set the environment variable {DATA_VARIABLE} to the folder that "
        f"has the folder {folder!r}, or give the path of the dataset itself"
    )
    if name not in SOURCES:
        tried += "; tensorflow-datasets does not have this dataset"
    else:
        path, builder = find_prepared(name), SOURCES[name].builder
        if path is not None and is_installed():
            return path
        if path is None and download:
            return prepare(name)
        tried += f"; nothing prepared of {builder!r} in {str(data_dir())!r}"
        if not is_installed():
            tried += f", as tensorflow-datasets is not installed ({INSTALL})"
        remedy += f", or run `tfds build {builder}`, or give download=True"
    raise FileNotFoundError(
        f"Expected the dataset {name!r} in a folder, or prepared by "
        f"tensorflow-datasets. Received: {tried}. {remedy}."
    )


def _unknown(text):
    names = [*_KNOWN, "mini_imagenet"]
    nearest = difflib.get_close_matches(text, names, n=len(names), cutoff=0)
    return ValueError(
        "Expected the name of a dataset, or a path. Received: "
        f"{text!r}, which is no folder; the names, nearest first: "
        f"{', '.join(nearest)}"
    )


class ArrayDataset:
    """A dataset of images in memory.

    Args:
        images: `(n, height, width, channels)` array.
        labels: `(n,)` array of integers from 0, each at least once.
        name: Name of the dataset.
        classes: The class names. `"0"`, `"1"`, ... when None.
        groups: The group of each image (see `Item`). Each image is on its
            own when None.

    Raises:
        ValueError: If the arguments do not fit together.

    Example:

    >>> digits = sklearn.datasets.load_digits()
    >>> dataset = ArrayDataset(
    ...     digits.images[..., np.newaxis], digits.target, name="digits"
    ... )
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        name: str = "arrays",
        classes: Sequence[str] | None = None,
        groups: Sequence | None = None,
    ):
        examples = check_examples(
            Examples(np.asarray(images), np.asarray(labels))
        )
        way = examples.way
        self.classes = tuple(classes or (str(i) for i in range(way)))
        if len(set(self.classes)) != way or len(self.classes) != way:
            raise ValueError(
                f"Expected {way} different class names, one per label. "
                f"Received: classes={classes!r}"
            )
        if groups is not None and len(groups) != len(examples):
            raise ValueError(
                "Expected one group per image. Received: "
                f"{len(groups)} groups for {len(examples)} images"
            )
        self.name = name
        self._images = examples.images
        self._items = {class_name: [] for class_name in self.classes}
        for i, label in enumerate(examples.labels):
            group = i if groups is None else groups[i]
            self._items[self.classes[label]].append(Item(i, group))

    def items(self, class_name: str) -> Sequence[Item]:
        """Returns the images of a class; their keys are positions."""
        return self._items[class_name]

    def superclass(self, class_name: str) -> None:
        """Returns None: all classes are one set."""

    def load(self, items: Sequence[Item]) -> np.ndarray:
        """Returns a copy of the images of `items`."""
        return self._images[[item.key for item in items]]
