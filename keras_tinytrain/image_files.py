"""Datasets of image files, which are decoded when they are asked for."""

import abc
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_tinytrain.episodes import Item

# Decoded images kept, the last used: 200 MB at 128 x 128.
CACHED_IMAGES = 4096


class ImageDataset(abc.ABC):
    """A dataset that knows its images by their items, and decodes few.

    Args:
        name: Name of the dataset.
        image_size: `(height, width)` of the images.
        superclass: Function from class name to the set of classes that an
            episode stays inside. All classes are one set when None.

    Attributes:
        name: Name of the dataset.
        classes: The class names.
        image_size: `(height, width)` of the images.

    Raises:
        ValueError: If `image_size` is not two positive integers.
    """

    classes: tuple[str, ...]
    _items: dict[str, tuple[Item, ...]]

    def __init__(
        self,
        name: str,
        image_size: tuple[int, int],
        superclass: Callable[[str], str] | None,
    ):
        self.name = name
        self.image_size = check_image_size(image_size)
        self._superclass = superclass

    def items(self, class_name: str) -> tuple[Item, ...]:
        """Returns the images of a class."""
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
            image[:] = self.decode(item)
        return images

    @abc.abstractmethod
    def decode(self, item: Item) -> np.ndarray:
        """Returns the RGB image `(height, width, 3)` of an item, uint8."""


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
