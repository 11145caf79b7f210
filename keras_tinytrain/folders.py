"""A dataset in a folder: one folder per class, images inside."""

import functools
import os
import pathlib
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import tensorflow as tf

from keras_tinytrain.episodes import Item

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")

# Decoded images kept, the last used: 200 MB at 128 x 128.
CACHED_IMAGES = 4096


class ImageFolder:
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
        self.image_size = check_image_size(image_size)
        self.name = name or self.path.name
        self._superclass = superclass
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

    def items(self, class_name: str) -> tuple[Item, ...]:
        """Returns the images of a class; their keys are `class/file`."""
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
            ValueError: If a file is not an image that can be decoded.
        """
        images = np.empty((len(items), *self.image_size, 3), np.uint8)
        for image, item in zip(images, items, strict=True):
            path = str(self.path / item.key)
            # The time of the file is there to see that it was replaced.
            image[:] = _read(path, os.stat(path).st_mtime_ns, self.image_size)
        return images


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


def check_image_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """Returns `(height, width)`.

    Args:
        image_size: What a caller gave for it.

    Raises:
        ValueError: If it is not two positive integers.
    """
    size = tuple(image_size) if np.iterable(image_size) else ()
    if len(size) != 2 or not all(
        isinstance(x, (int, np.integer)) and x > 0 for x in size
    ):
        raise ValueError(
            "Expected `image_size` to be two positive integers (height, "
            f"width). Received: image_size={image_size!r}"
        )
    return tuple(int(x) for x in size)


@functools.lru_cache(maxsize=CACHED_IMAGES)
def _read(path, modified, image_size):
    """Reads one image as uint8 RGB `(height, width, 3)`."""
    del modified  # Only a key of the cache.
    with open(path, "rb") as file:
        return decode_image(file.read(), image_size, origin=path)


def decode_image(
    data: bytes,
    image_size: tuple[int, int],
    *,
    origin: str,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Decodes an image file, cuts out a box, and stretches it to a size.

    Args:
        data: The content of a png, jpg, bmp or gif file.
        image_size: `(height, width)` of the result, made with antialiasing
            and without regard to proportions.
        origin: Where the data comes from, for messages.
        box: `(top, left, bottom, right)` of the part to use, as fractions of
            height and width. What lies outside of the image is left away.

    Returns:
        The RGB image `(height, width, 3)`, uint8.

    Raises:
        ValueError: If the data is not an image that can be decoded.
    """
    # A small op is faster here than on an accelerator, and gives the same
    # bytes on every machine.
    with tf.device("CPU:0"):
        try:
            # TensorFlow turns any image but a bitmap into RGB by itself.
            image = tf.io.decode_image(
                data,
                channels=0 if data[:2] == b"BM" else 3,
                expand_animations=False,
            )
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                "Expected an image that can be decoded. Received: "
                f"{origin!r}; {error.message}"
            ) from error
        if image.shape[-1] == 1:
            image = tf.repeat(image, 3, axis=-1)
        if box is not None:
            top, bottom = _pixels(box[0], box[2], image.shape[0])
            left, right = _pixels(box[1], box[3], image.shape[1])
            image = image[top:bottom, left:right]
        image = tf.image.resize(image[..., :3], image_size, antialias=True)
        image = tf.round(tf.cast(image, tf.float32))
        return tf.cast(image, tf.uint8).numpy()


def _pixels(start, end, size):
    """The pixels between two fractions of a side, rounded as Meta-Dataset."""
    first = min(max(round(start * size - 0.5), 0), size - 1)
    return first, max(min(round(end * size - 0.5) + 1, size), first + 1)
