"""Datasets by name: the nine targets, the source, and arrays in memory."""

import difflib
import os
import pathlib
from collections.abc import Sequence

from keras_tinytrain.array_dataset import ArrayDataset
from keras_tinytrain.class_splits import choose_classes
from keras_tinytrain.folders import ImageFolder
from keras_tinytrain.known_datasets import ALIASES, KNOWN, TARGETS, Known
from keras_tinytrain.tfds_datasets import TfdsDataset
from keras_tinytrain.tfds_sources import (
    INSTALL,
    SOURCES,
    data_dir,
    find_prepared,
    is_installed,
    prepare,
)

__all__ = [
    "DATA_VARIABLE",
    "TARGETS",
    "ArrayDataset",
    "ImageFolder",
    "TfdsDataset",
    "load",
    "missing",
]

DATA_VARIABLE = "KERAS_TINYTRAIN_DATA"


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
    if not text:
        raise _unknown(text)  # It would be the current folder.
    name = ALIASES.get(text, text)
    path = pathlib.Path(text).absolute()
    may_be_name = isinstance(name_or_path, str) and path.name == text
    if may_be_name and name in KNOWN:
        path = _folder(name)
    elif may_be_name and not path.exists():
        raise _unknown(text)
    else:
        name = ALIASES.get(path.name, path.name)
    known = KNOWN.get(name, Known(name))
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
        name = ALIASES.get(given, given)
        if name not in KNOWN:
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
    path = pathlib.Path(root or "", KNOWN[name].folder).absolute()
    return path if root and path.is_dir() else None


def _prepared(name, download=False):
    """Where tensorflow-datasets has a known dataset that has no folder."""
    root, folder = os.environ.get(DATA_VARIABLE), KNOWN[name].folder
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
    names = [*KNOWN, "mini_imagenet"]
    nearest = difflib.get_close_matches(text, names, n=len(names), cutoff=0)
    return ValueError(
        "Expected the name of a dataset, or a path. Received: "
        f"{text!r}, which is no folder; the names, nearest first: "
        f"{', '.join(nearest)}"
    )
