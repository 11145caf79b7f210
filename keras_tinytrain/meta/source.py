"""The images to learn from, all of them decoded and in memory."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_tinytrain import datasets
from keras_tinytrain.episodes import Dataset, EpisodeItems, Item, draw_episode
from keras_tinytrain.meta.recipe import Recipe

# Images that a thread decodes at a time.
_CHUNK = 64


class Source:
    """A dataset in memory, from which episodes are drawn by number.

    Args:
        dataset: A `Dataset` of RGB bytes.

    Attributes:
        name: Name of the dataset.
        classes: The class names.
        images: `(n, height, width, 3)` uint8, class after class.
        number_of: `(n,)` int32, the number of the class of each image.
        digest: Changes with any image, class or group.

    Raises:
        ValueError: If the images are not RGB bytes.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.name, self.classes = dataset.name, tuple(dataset.classes)
        self.superclass = dataset.superclass
        found = {name: dataset.items(name) for name in self.classes}
        items = [item for name in self.classes for item in found[name]]
        images = _read(dataset, items)
        places = iter(range(len(items)))
        self._items = {
            name: tuple(Item(next(places), item.group) for item in found[name])
            for name in self.classes
        }
        counts = [len(found[name]) for name in self.classes]
        numbers = np.arange(len(counts), dtype=np.int32)
        self.number_of = np.repeat(numbers, counts)
        digest = hashlib.sha256(images)
        digest.update(repr((self.name, images.shape, self._items)).encode())
        self.digest = digest.hexdigest()[:12]
        with tf.device("CPU:0"):
            self.images = tf.constant(images)

    def items(self, class_name: str) -> Sequence[Item]:
        """Returns the images of a class; their keys are positions."""
        return self._items[class_name]

    def check(self, recipe: Recipe) -> None:
        """Draws an episode, to see that one can.

        Raises:
            ValueError: If there are too few classes or images.
        """
        self._draw(0, recipe)

    def draw(
        self, number: int, recipe: Recipe
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Draws an episode, the same for the same number and recipe.

        Args:
            number: Number of the episode.
            recipe: How to draw.

        Returns:
            Positions of the images, support first; their labels; their
            classes in the source; and how many are support.
        """
        positions, labels, support = arrange(self._draw(number, recipe))
        return positions, labels, self.number_of[positions], support

    def _draw(self, number: int, recipe: Recipe) -> EpisodeItems:
        return draw_episode(self, seed=recipe.seed_of(number), **recipe.drawing)


def arrange(drawn: EpisodeItems) -> tuple[np.ndarray, np.ndarray, int]:
    """Lists the positions of an episode's images, support first.

    Args:
        drawn: An episode whose items have positions for keys.

    Returns:
        Positions, labels, and how many are support.
    """
    sides = drawn.support, drawn.query
    positions = [x.key for side in sides for row in side for x in row]
    labels = [
        np.repeat(np.arange(len(side)), [len(row) for row in side])
        for side in sides
    ]
    return (
        np.array(positions, np.int32),
        np.concatenate(labels).astype(np.int32),
        sum(map(len, drawn.support)),
    )


def open_source(
    source: str | os.PathLike | Dataset, recipe: Recipe, *, verbose: int = 0
) -> Source:
    """Reads a source and sees that it has enough for the episodes.

    Args:
        source: Name of a dataset or folder, as `datasets.load` takes, or a
            dataset of RGB bytes.
        recipe: How to draw, and the size of the images of a name.
        verbose: Whether to say what is read.

    Raises:
        FileNotFoundError: If the dataset is not there.
        ValueError: If it has too few classes or images.
    """
    if isinstance(source, (str, os.PathLike)):
        size = recipe.stored_size, recipe.stored_size
        source = datasets.load(source, image_size=size)
    # Before anything is decoded.
    draw_episode(source, seed=0, **recipe.drawing)
    if verbose:
        count = sum(len(source.items(name)) for name in source.classes)
        print(
            f"Reading {count:,} images of {len(source.classes)} classes of "
            f"{source.name}",
            flush=True,
        )
    return Source(source)


def _read(dataset: Dataset, items: Sequence[Item]) -> np.ndarray:
    """Decodes all images, on all cores."""
    first = dataset.load(items[:1])
    if first.dtype != np.uint8 or first.shape[3:] != (3,):
        raise ValueError(
            f"Expected `{dataset.name}` to have RGB images of bytes. Received: "
            f"images of shape {first.shape[1:]} and dtype {first.dtype}"
        )
    images = np.empty((len(items), *first.shape[1:]), np.uint8)

    def read(start):
        part = items[start : start + _CHUNK]
        images[start : start + len(part)] = dataset.load(part)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(read, range(0, len(items), _CHUNK)):
            pass  # Raises what a thread raised.
    return images
