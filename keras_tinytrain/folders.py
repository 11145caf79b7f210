"""A dataset in a folder: one folder per class, images inside."""

import functools
import os
import pathlib
from collections.abc import Callable, Hashable

import numpy as np

from keras_tinytrain.episodes import Item
from keras_tinytrain.image_files import (
    CACHED_IMAGES,
    ImageDataset,
    decode_image,
)

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


class ImageFolder(ImageDataset):
    """Reads `path/<class>/<image>`; classes and images in order of name.

    Images are png, jpg, jpeg, bmp or gif (its first frame). Other files, and
    all that starts with a dot, are passed over. Nothing is decoded before an
    image is asked for; the last few thousand are then kept in memory.

    Args:
        path: The folder.
        image_size: `(height, width)` to which images are stretched, with
            antialiasing and without regard to their proportions.
        name: Name of the dataset. The name of the folder when None.
        group: Function from class name and file name to the group of an
            image (see `Item`). Each image is on its own when None.
        superclass: Function from class name to the set of classes that an
            episode stays inside. All classes are one set when None.

    Raises:
        FileNotFoundError: If `path` is not a folder.
        ValueError: If it holds no class, or a class without images.

    Example:

    >>> dataset = ImageFolder("photos", image_size=(96, 96))
    >>> dataset.load(dataset.items(dataset.classes[0])).shape
    (20, 96, 96, 3)
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        image_size: tuple[int, int] = (128, 128),
        name: str | None = None,
        group: Callable[[str, str], Hashable] | None = None,
        superclass: Callable[[str], str] | None = None,
    ):
        self.path = pathlib.Path(path).absolute()
        super().__init__(name or self.path.name, image_size, superclass)
        if not self.path.is_dir():
            raise FileNotFoundError(
                "Expected a folder with one folder of images per class. "
                f"Received: path={str(self.path)!r}, which is not a folder"
            )
        self._items = {
            folder: _class_items(self.path / folder, group)
            for folder in _visible(self.path)
            if (self.path / folder).is_dir()
        }
        if not self._items:
            raise ValueError(
                "Expected a folder with one folder of images per class. "
                f"Received: {str(self.path)!r}, with no folder in it"
            )
        self.classes = tuple(self._items)

    def decode(self, item: Item) -> np.ndarray:
        """Returns the image of an item, whose key is `class/file`."""
        path = str(self.path / item.key)
        # The time of the file is there to see that it was replaced.
        return _read(path, os.stat(path).st_mtime_ns, self.image_size)


def _visible(path):
    """Names in a folder, in an order that no file system decides."""
    return sorted(x for x in os.listdir(path) if not x.startswith("."))


def _class_items(path, group):
    files = [x for x in _visible(path) if x.lower().endswith(SUFFIXES)]
    if not files:
        raise ValueError(
            f"Expected images ({', '.join(SUFFIXES)}) in every class folder. "
            f"Received: none in {str(path)!r}"
        )
    keys = [f"{path.name}/{file}" for file in files]
    if group is None:
        return tuple(Item(key, key) for key in keys)
    return tuple(
        Item(key, group(path.name, file))
        for key, file in zip(keys, files, strict=True)
    )


@functools.lru_cache(maxsize=CACHED_IMAGES)
def _read(path, modified, image_size):
    """Reads one image as uint8 RGB `(height, width, 3)`."""
    del modified  # Only a key of the cache.
    with open(path, "rb") as file:
        return decode_image(file.read(), image_size, origin=path)
