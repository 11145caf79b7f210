"""Images in memory as a dataset."""

from collections.abc import Sequence

import numpy as np

from keras_tinytrain.episodes import Item
from keras_tinytrain.examples import Examples, check_examples


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
