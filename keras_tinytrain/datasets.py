"""Datasets by name: the nine targets, the source, and arrays in memory."""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from keras_tinytrain.episodes import Examples, Item, check_examples
from keras_tinytrain.folders import ImageFolder

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
) -> ImageFolder:
    """Opens a dataset by its name, or a folder by its path.

    A name is looked up in the folder that the environment variable
    `KERAS_TINYTRAIN_DATA` names. Known datasets keep what makes their
    episodes fair: the frames of one traffic sign, and the objects of one
    photograph of MSCOCO, are never in support and query both; an Omniglot
    episode has the characters of one alphabet. A name comes before a folder
    of that name in the current one: write `"./cub"` for it. A path whose
    last part is the name of such a dataset gets the same; use `ImageFolder`
    for a folder that is called so and is something else.

    Args:
        name_or_path: One of `TARGETS`, `"mini_imagenet"` (its training
            classes), `"mini_imagenet_train"`, `"mini_imagenet_val"`,
            `"mini_imagenet_test"`, `"vww"`, the name of the folder of one of
            these, or a path.
        image_size: `(height, width)` of the images.

    Returns:
        An `ImageFolder`.

    Raises:
        ValueError: If the name is not known.
        FileNotFoundError: If the dataset or the path is not there.

    Example:

    >>> episode = ktt.sample_episode(load("traffic_sign"), seed=0)
    """
    text = os.fspath(name_or_path)
    name = _ALIASES.get(text, text)
    path = pathlib.Path(text).absolute()
    may_be_name = isinstance(name_or_path, str) and path.name == text
    if may_be_name and name in _KNOWN:
        path = _path_of(name)
    elif may_be_name and not path.exists():
        raise _unknown(text)
    else:
        name = _ALIASES.get(path.name, path.name)
    known = _KNOWN.get(name, _Known(name))
    return ImageFolder(
        path,
        image_size=image_size,
        name=name,
        group=known.group,
        superclass=known.superclass,
    )


def _path_of(name):
    """The folder of a known dataset."""
    remedy = (
        f"Set the environment variable {DATA_VARIABLE} to the folder that "
        "holds it, or give the path of the dataset itself"
    )
    root = os.environ.get(DATA_VARIABLE)
    if not root:
        raise FileNotFoundError(
            f"Expected the dataset {name!r} in the folder that "
            f"{DATA_VARIABLE} names. Received: {DATA_VARIABLE}={root!r}. "
            f"{remedy}."
        )
    path = pathlib.Path(root) / _KNOWN[name].folder
    if not path.is_dir():
        raise FileNotFoundError(
            f"Expected the dataset {name!r} at {str(path)!r}. Received: no "
            f"such folder. {remedy}."
        )
    return path


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
