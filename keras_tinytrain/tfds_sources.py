"""Which datasets tensorflow-datasets has, and where it prepared them."""

import dataclasses
import importlib.util
import os
import pathlib
import re
import types

DIR_VARIABLE = "TFDS_DATA_DIR"
DEFAULT_DIR = "~/tensorflow_datasets"
INSTALL = "pip install 'keras_tinytrain[datasets]'"


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
    builder = import_tfds().builder(SOURCES[name].builder, data_dir=data_dir())
    builder.download_and_prepare()
    return pathlib.Path(builder.data_dir)


def import_tfds() -> types.ModuleType:
    """Imports tensorflow-datasets, which takes seconds.

    Raises:
        ImportError: If it is not installed, with a remedy.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ImportError(
            "Expected tensorflow-datasets, to read or prepare a dataset. "
            f"Received: {error}. Run `{INSTALL}`"
        ) from error
    return tensorflow_datasets
