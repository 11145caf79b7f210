"""The datasets that are known by name, and what makes their episodes fair."""

import dataclasses
from collections.abc import Callable

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
class Known:
    """A dataset that is known by name.

    Attributes:
        folder: The folder that has it.
        group: Function from class name and file name to the group of an
            image (see `Item`). Each image is on its own when None.
        superclass: Function from class name to the set of classes that an
            episode stays inside. All classes are one set when None.
    """

    folder: str
    group: Callable | None = None
    superclass: Callable | None = None


KNOWN = {
    "traffic_sign": Known("gtsrb", group=_track),
    "omniglot": Known("omniglot", superclass=_alphabet),
    "aircraft": Known("aircraft"),
    "flower": Known("flowers"),
    "cub": Known("cub"),
    "dtd": Known("dtd"),
    "quickdraw": Known("quickdraw"),
    "fungi": Known("fungi"),
    "mscoco": Known("mscoco_crops", group=_photograph),
    "mini_imagenet_train": Known("miniimagenet_train"),
    "mini_imagenet_val": Known("miniimagenet_val"),
    "mini_imagenet_test": Known("miniimagenet_test"),
    "vww": Known("vww"),
}
ALIASES = {known.folder: name for name, known in KNOWN.items()}
ALIASES["mini_imagenet"] = "mini_imagenet_train"
