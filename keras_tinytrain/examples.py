"""Labelled images, and what makes them fit to learn from."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Labelled images.

    Args:
        images: `(n, height, width, channels)` array.
        labels: `(n,)` array of integers, the class of each image from 0.

    Example:

    >>> examples = Examples(np.zeros((2, 8, 8, 3)), np.array([0, 1]))
    >>> len(examples), examples.way
    (2, 2)
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def way(self) -> int:
        """Number of distinct labels."""
        return np.unique(self.labels).size


def as_examples(x, y=None) -> Examples:
    """Reads what `fit` and `evaluate` of a Keras model take.

    Args:
        x: `Examples`, images, or a `tf.data.Dataset` of batches of images
            and labels.
        y: Labels, if `x` is images.

    Returns:
        The `Examples`, not yet checked.
    """
    if isinstance(x, Examples):
        return x
    if hasattr(x, "as_numpy_iterator"):
        batches = list(x.as_numpy_iterator())
        if not all(isinstance(b, tuple) and len(b) == 2 for b in batches):
            raise ValueError(
                "Expected a dataset of (images, labels). Received: "
                f"{getattr(x, 'element_spec', x)}"
            )
        if not batches:
            raise ValueError("Expected at least one batch. Received: none")
        x, y = (np.concatenate(parts) for parts in zip(*batches))
    if y is None:
        raise ValueError(
            "Expected `Examples`, images with labels, or a dataset of both. "
            f"Received: {type(x).__name__} without labels"
        )
    return Examples(np.asarray(x), np.asarray(y))


def check_images(images, *, channels: int | None = None) -> np.ndarray:
    """Refuses images that nothing can be learned from.

    Args:
        images: The images to check.
        channels: Number of image channels to insist on. Any when None.

    Returns:
        The images as an array.

    Raises:
        ValueError: If they are not finite numbers of shape
            `(n, height, width, channels)`.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            "Expected `images` of shape (n, height, width, channels). "
            f"Received: images.shape={images.shape}"
        )
    if len(images) == 0:
        raise ValueError("Expected images, at least one. Received: 0 images")
    if images.dtype.kind not in "uif" or 0 in images.shape:
        raise ValueError(
            "Expected images of real numbers with at least one pixel. "
            f"Received: images.shape={images.shape}, "
            f"images.dtype={images.dtype}"
        )
    if channels is not None and images.shape[-1] != channels:
        raise ValueError(
            f"Expected images with {channels} channels. "
            f"Received: images.shape={images.shape}"
        )
    if images.dtype.kind == "f":
        bad = ~np.isfinite(images).all(axis=(1, 2, 3))
        if bad.any():
            raise ValueError(
                "Expected images of finite numbers. Received: NaN or "
                f"infinity in {bad.sum()} of {len(images)} images, the "
                f"first at index {bad.argmax()}"
            )
    return images


def check_examples(
    examples: Examples, *, way: int | None = None, channels: int | None = None
) -> Examples:
    """Refuses examples that cannot be learned from, or tested on.

    Args:
        examples: The `Examples` to check.
        way: None for a support set, in which each of at least two classes
            0, 1, ... must have an image. For a query set the number of
            classes of its support set; some may then have no image.
        channels: Number of image channels to insist on. Any when None.

    Returns:
        `examples`, unchanged.

    Raises:
        ValueError: If the images or the labels are not as stated.
    """
    images = check_images(examples.images, channels=channels)
    labels = np.asarray(examples.labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "Expected `labels` to be integers of shape (n,). Received: "
            f"labels.shape={labels.shape}, labels.dtype={labels.dtype}"
        )
    if len(images) != len(labels):
        raise ValueError(
            "Expected as many images as labels. Received: "
            f"{len(images)} images and {len(labels)} labels"
        )
    present = np.unique(labels)
    if way is None and present.size < 2:
        raise ValueError(
            "Expected a support set of at least 2 classes. "
            f"Received: only the label {present[0]}"
        )
    if way is None and not np.array_equal(present, np.arange(present.size)):
        raise ValueError(
            "Expected the labels of a support set to be 0 to way - 1, each "
            f"at least once. Received: the labels {_first(present)}"
        )
    if way is not None and not 0 <= present[0] <= present[-1] < way:
        raise ValueError(
            f"Expected labels from 0 to {way - 1}. "
            f"Received: the labels {_first(present)}"
        )
    return examples


def _first(values, limit=8):
    """Joins the first few values for a message."""
    text = ", ".join(str(x) for x in values[:limit])
    return f"{text}, ..." if len(values) > limit else text
