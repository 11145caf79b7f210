"""The images from which the scales of int8 nets follow, never the task's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from keras_tinytrain import datasets
from keras_tinytrain.evaluation.protocol import Data, Protocol

SOURCE = "mini_imagenet_train"
COUNT = 100


def representative_images(source: str | None, image_size: int) -> np.ndarray:
    """Draws images of all classes of a dataset, always the same ones.

    Args:
        source: What `keras_tinytrain.datasets.load` takes; None is the source
            of meta-training, whose classes no target dataset has.
        image_size: Height and width in pixels.

    Returns:
        `COUNT` images, or all that there are.

    Raises:
        OSError: If the dataset is not there.
        ValueError: If its name is unknown.
    """
    dataset = _open(source, image_size)
    items = list(itertools.chain(*map(dataset.items, dataset.classes)))
    order = np.random.default_rng(0).permutation(len(items))[:COUNT]
    return dataset.load([items[i] for i in sorted(order)])


def check_unseen(protocol: Protocol, data: Sequence[Data]) -> None:
    """Refuses scales from a dataset whose images are to be classified.

    Args:
        protocol: What episodes share.
        data: The datasets of the evaluation.

    Raises:
        ValueError: If one of them gives the scales.
    """
    name = _open(protocol.representative, protocol.image_size).name
    if name in [dataset.name for dataset in data]:
        raise ValueError(
            "Expected representative images, from which int8 scales follow, "
            "of a dataset that is not evaluated: they could be queries. "
            f"Received: {name!r} for both. Give another `representative`"
        )


def _open(source: str | None, image_size: int):
    try:
        return datasets.load(
            source or SOURCE, image_size=(image_size, image_size)
        )
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error} Of its images int8 scales follow; `representative` "
            "names another dataset or a folder for them."
        ) from error
