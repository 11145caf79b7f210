"""`meta_train`: a net learns to be good at learning from few images."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import sys
from collections.abc import Iterator

import keras
import tensorflow as tf

from keras_tinytrain.episodes import Dataset
from keras_tinytrain.image_files import check_image_size
from keras_tinytrain.meta.learner import Learner
from keras_tinytrain.meta.recipe import Recipe
from keras_tinytrain.meta.replicas import Replicas
from keras_tinytrain.meta.run import Run
from keras_tinytrain.meta.source import open_source
from keras_tinytrain.meta.strategies import is_chief, make_strategy


def meta_train(
    net: keras.Model,
    source: str | os.PathLike | Dataset,
    *,
    folder: str | os.PathLike,
    recipe: Recipe | None = None,
    validation: str | os.PathLike | Dataset | None = None,
    validation_episodes: int = 60,
    checkpoint_every: int = 1000,
    image_size: tuple[int, int] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    verbose: int = 1,
) -> list[dict[str, float]]:
    """Trains a net on few-shot episodes of a source set.

    In each episode the query images are compared with the class means of the
    support images; the gradient of the cross-entropy trains the net. At the
    end the net has the weights that were best on the validation episodes, or
    the last ones without these. `BatchNormalization` keeps its statistics.

    The same call goes on after any interruption, from the last checkpoint:
    on the same machine the weights become those of an unbroken run, bit for
    bit. Several workers need the same `folder` only if the first of them may
    move; it alone reads and writes there.

    Args:
        net: A functional or Sequential Keras model from RGB images, 0 to
            255, to feature maps or embeddings, with at least the weights
            that it starts from.
        source: What to learn from: name of a dataset or folder of images,
            see `datasets.load`, or a dataset of RGB bytes.
        folder: Where checkpoints, the curve and logs go.
        recipe: How to train. PMF's recipe when None.
        validation: Classes that `source` lacks, to judge by. None when None.
        validation_episodes: Episodes of a validation, always the same ones.
        checkpoint_every: Episodes between checkpoints and validations,
            rounded up to whole steps.
        image_size: `(height, width)` to train at. The net's own when None.
        strategy: Where to train, see `make_strategy`, which is called when
            None.
        verbose: 0 is silent.

    Returns:
        Records of the run, in order: `episode`, with `loss`, `accuracy`,
        `learning_rate` and `scale` of the training episodes since the one
        before, or with `val_loss` and `val_accuracy`.

    Raises:
        ValueError: If the source has too few classes or images; if `folder`
            has a checkpoint of another net, recipe, source or version; if
            `TF_CONFIG` is not valid; or if the loss is not finite, after
            which the last checkpoint is kept.
        OSError: If a dataset is not there, another run uses the folder, or
            the disk is full.
        RuntimeError: If another worker is gone.

    Example:

    >>> net = ktt.zoo.MCUNet(weights="imagenet")
    >>> history = meta_train(net, "mini_imagenet", folder="build/meta")

    Reference:
        - [PMF](https://arxiv.org/abs/2204.07305)
        - [Prototypical networks](https://arxiv.org/abs/1703.05175)
    """
    recipe = recipe or Recipe()
    for name, value in (
        ("validation_episodes", validation_episodes),
        ("checkpoint_every", checkpoint_every),
    ):
        if not isinstance(value, int) or value < 1:
            raise ValueError(
                f"Expected {name} to be an integer from 1. Received: "
                f"{name}={value!r}"
            )
    strategy = strategy or make_strategy()
    chief = is_chief(strategy)
    verbose = verbose if chief else 0
    folder = pathlib.Path(folder)
    with contextlib.ExitStack() as stack:
        if chief:
            stack.enter_context(_locked(folder))
        judge = None
        if validation is not None:
            judge = open_source(validation, recipe, verbose=verbose)
        images = open_source(source, recipe, verbose=verbose)
        learner = Learner(net, recipe, len(images.classes))
        run = Run(
            learner,
            Replicas(learner, strategy),
            images,
            judge,
            size=_image_size(net, image_size),
            folder=folder if chief else None,
            judged=validation_episodes,
            every=-(-checkpoint_every // recipe.batch),
            stream=sys.stderr if verbose else None,
        )
        return run.train()


def _image_size(net, given) -> tuple[int, int]:
    """Returns the size to train at."""
    own = tuple(net.input_shape[1:3])
    size = own if given is None else check_image_size(given)
    if None in size or any(n not in (None, m) for n, m in zip(own, size)):
        raise ValueError(
            f"Expected an image_size that net {net.name!r} takes, of input "
            f"shape {net.input_shape}. Received: image_size={given!r}"
        )
    return size


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other runs off a folder; ends with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                error.errno,
                "Expected a folder that no other run uses. Received: "
                f"{str(folder)!r}, which one does. Wait for it, or give "
                "another folder",
            ) from None
        yield
