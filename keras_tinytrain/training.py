"""The adaptation loop: trains the slices of a plan on a support set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.examples import (
    Examples,
    as_examples,
    check_examples,
    check_images,
)
from keras_tinytrain.heads import prototypes
from keras_tinytrain.window import Features

# Steps of an adaptation (PMF, utils/args.py).
STEPS = 40
# Augmented views of the support set that are kept.
VIEWS = 8
# Length of the class vectors at the start. Only their direction matters, and
# an optimizer turns a short vector faster: Adam ten times as fast as one of
# length one.
VECTOR_LENGTH = 0.1
# Share of the class means in the final class vectors of a linear head.
MEANS_SHARE = 0.4
# Unlabelled images in a step, which bounds its memory and time.
QUERY_BATCH = 64
# Learning rate of Adam when all weights train and views are classified no
# better than by chance, and the largest one.
LEARNING_RATE = 3e-3
MAX_LEARNING_RATE = 1e-2


def learning_rate(loss: float, way: int, share: float) -> float:
    """Returns the learning rate of Adam for a task and a plan.

    Adam moves every weight by about its learning rate, however small the
    gradient is. So a network that copes with a task from the start would be
    changed, and harmed, as much as one that meets a new domain. The rate
    grows with the square of the loss at the start. It also grows with the
    root of how few weights train, as the output moves with the root of
    their number.

    Args:
        loss: Cross-entropy on augmented views before training.
        way: Number of classes, which gives the loss of guessing.
        share: Trained weights as a share of all.
    """
    rate = LEARNING_RATE * (loss / math.log(way)) ** 2 / math.sqrt(share)
    return min(rate, MAX_LEARNING_RATE)


def fit(
    model,
    support: Examples,
    *,
    epochs: int = 1,
    steps_per_epoch: int = STEPS,
    views: int = VIEWS,
    seed: int = 0,
    query_images: np.ndarray | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    validation_data: Any = None,
    verbose: str | int = "auto",
) -> keras.callbacks.History:
    """Learns a task from its support set: trains the plan's channels.

    All below the first trained layer is computed once per support image and
    augmented view, not once per step. Each step takes all support images,
    in one of the views. Only when the first layer trains, so that nothing
    lies below, does each step draw a new view.

    The class vectors of a linear head end between what was trained and the
    means of what the trained network makes of the support images: vectors
    that separate a few images well say less of what others will look like
    than their means do.

    Args:
        model: A wrapped model with a plan, or with a callback that makes
            one, as `TaskAdaptiveSparse` does.
        support: The labelled images, labels from 0 to way - 1.
        epochs: Epochs, after each of which the weights are written back.
        steps_per_epoch: Steps in each.
        views: Number of augmented views besides the images themselves.
        seed: Seed of the views and of their order.
        query_images: Unlabelled images of the same classes, for transductive
            learning: the mean entropy of their predictions, as a share of
            that of guessing, is added to the loss. In each step these are
            the images themselves, no views; if there are more than
            `QUERY_BATCH`, as many of them, drawn anew.
        callbacks: Keras callbacks. A batch is a step.
        validation_data: `Examples`, `(images, labels)` or a dataset of both,
            of the same classes, evaluated after each epoch.
        verbose: 0 shows no progress bar.

    Returns:
        The Keras `History`, with `loss` and `accuracy` of each epoch's last
        step, and `entropy` if there are query images.

    Raises:
        ValueError: If the support set cannot be learned from, there is no
            plan, or training leads to numbers that are not finite. After
            this and any other exception, plan and weights are as before.

    Reference:
        - [Transductive fine-tuning](https://arxiv.org/abs/1909.02729)
    """
    channels = model.network.input_shape[-1]
    check_examples(support, channels=channels)
    if query_images is not None:
        query_images = check_images(query_images, channels=channels)
    for name, value, least in (
        ("epochs", epochs, 1),
        ("steps_per_epoch", steps_per_epoch, 0),
        ("views", views, 0),
    ):
        if not isinstance(value, int) or value < least:
            raise ValueError(
                f"Expected {name} to be an integer from {least}. Received: "
                f"{name}={value!r}"
            )
    if validation_data is not None:
        if isinstance(validation_data, (tuple, list)):
            validation_data = as_examples(*validation_data)
        validation_data = as_examples(validation_data)
        check_examples(
            validation_data,
            way=support.way,
            channels=channels,
        )
    if not model.compiled:
        model.compile()
    callback_list = keras.callbacks.CallbackList(
        list(callbacks),
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=1 if verbose == "auto" else verbose,
        epochs=epochs,
        steps=steps_per_epoch,
    )
    template, before = model.optimizer, _Snapshot(model)
    model.stop_training, model.support = False, support
    try:
        callback_list.on_train_begin()
        if model.plan is None:
            raise ValueError(
                "Expected a model with a plan. Received: none. Add the "
                "callback TaskAdaptiveSparse(budget), or `apply_plan` first."
            )
        session = _Session(model, support, views, seed, query_images)
        model.optimizer = session.trainer.optimizer
        logs: dict[str, float] = {}
        for epoch in range(epochs):
            callback_list.on_epoch_begin(epoch)
            for step in range(steps_per_epoch):
                callback_list.on_train_batch_begin(step)
                logs = session.step()
                callback_list.on_train_batch_end(step, logs)
                if model.stop_training:
                    break
            session.write_back()
            if validation_data is not None:
                result = model.evaluate(
                    validation_data, verbose=0, return_dict=True
                )
                logs |= {f"val_{name}": v for name, v in result.items()}
            callback_list.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        callback_list.on_train_end(logs)
    except BaseException:
        before.restore()
        raise
    finally:
        model.optimizer, model.support = template, None
    return model.history


class _Snapshot:
    """Plan, slices and class vectors of a model, to be put back."""

    def __init__(self, model) -> None:
        self.model = model
        self.plan, self.first = model.plan, model.first_candidate
        self.plans_applied = model.plans_applied
        layers = model.network.layers.values()
        self.choices = [layer.choice for layer in layers]
        self.values = [
            None if variable is None else variable.numpy()
            for layer in layers
            for variable in (layer.kernel_slice, layer.bias_slice)
        ]
        vectors = model.class_vectors
        self.vectors = None if vectors is None else vectors.numpy()

    def restore(self) -> None:
        model, values = self.model, iter(self.values)
        for layer, choice in zip(model.network.layers.values(), self.choices):
            if model.plans_applied != self.plans_applied:
                layer.train_channels(**choice)
            for variable, value in zip(
                (layer.kernel_slice, layer.bias_slice),
                (next(values), next(values)),
            ):
                if variable is not None:
                    variable.assign(value)
        model.plan, model.first_candidate = self.plan, self.first
        model.plans_applied += 1  # So that the next `fit` starts afresh.
        if model.class_vectors is not None or self.vectors is not None:
            model.set_class_vectors(self.vectors)


def _check_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(
            f"Expected a finite {name}. Received: {value}. Try a lower "
            "learning rate. The weights are as before `fit`."
        )


class _Session:
    """One adaptation: the cached views and a trainer that is loaded."""

    def __init__(
        self,
        model,
        support: Examples,
        views: int,
        seed: int,
        query_images: np.ndarray | None,
    ) -> None:
        self.model = model
        self.window = model.training_window()
        self.labels = tf.constant(support.labels, tf.int32)
        self.images, self.seed, self.steps = support.images, seed, 0
        self.clean = self.window.prefix(self.images)
        # With no layer below there is nothing to save: every step sees new
        # views, as in PMF.
        first = next(iter(model.network.layers))
        trained = {layer.name for layer in model.plan.layers}
        self.fresh = views > 0 and first in trained
        self.views = [self.clean]
        if not self.fresh:
            self.views += [self._view(i) for i in range(views)]
        self.unlabelled: Features = ()
        if query_images is not None:
            self.unlabelled = self.window.prefix(query_images)
        self.random = np.random.default_rng(seed)
        self.order: list[int] = []
        vectors = self._class_vectors()
        self.trainer = model.trainer(
            tf.size(self.window.pack()) + tf.size(vectors)
        )
        known = model.class_vectors
        goes_on = self.trainer.task == model.plans_applied
        if goes_on and known is not None and known.shape == vectors.shape:
            vectors = known.value
            trained, final = self.trainer.left or (None, None)
            if final is not None and np.array_equal(vectors, final):
                vectors = trained
        self.trainer.start(vectors, task=model.plans_applied)
        self.adapts_rate = model.adapts_learning_rate and not goes_on

    def step(self) -> dict[str, float]:
        if self.fresh:
            view = self._view(self.steps)
        else:
            if not self.order:
                self.order = list(self.random.permutation(len(self.views)))
            view = self.views[self.order.pop()]
        self.steps += 1
        logs = self.trainer.step(
            self.clean, view, self.labels, self._some_unlabelled()
        )
        _check_finite("loss", logs["loss"])
        if self.adapts_rate and self.steps == 1:
            self._adapt_rate(logs["loss"] - logs.get("entropy", 0.0))
        return logs

    def _some_unlabelled(self) -> Features:
        """Draws unlabelled images: all of them, unless there are many."""
        if not self.unlabelled:
            return ()
        count = len(self.unlabelled[0])
        if count <= QUERY_BATCH:
            return self.unlabelled
        chosen = self.random.permutation(count)[:QUERY_BATCH]
        return tuple(tf.gather(tensor, chosen) for tensor in self.unlabelled)

    def _adapt_rate(self, loss: float) -> None:
        layers = self.model.network.layers.values()
        weights = sum(math.prod(layer.kernel_shape) for layer in layers)
        # Without a trained layer there may still be class vectors.
        share = max(self.model.plan.trained_weights, 1) / weights
        way = int(tf.reduce_max(self.labels)) + 1
        rate = learning_rate(loss, way, share)
        self.trainer.optimizer.learning_rate.assign(rate)

    def _view(self, index: int) -> Features:
        # Chunks of the images add their offset to the second number.
        return self.window.prefix_of_view(self.images, (self.seed, index << 16))

    def write_back(self) -> None:
        """Puts what the trainer holds into the model."""
        slices, class_vectors = self.trainer.result()
        total = tf.reduce_sum(self.trainer.vector.value)
        _check_finite("sum of trained weights", float(total))
        self.window.assign(slices)
        final = self._class_vectors()
        if class_vectors is not None:
            final *= MEANS_SHARE
            final += (1 - MEANS_SHARE) * _unit(class_vectors)
            self.trainer.left = class_vectors, final
        self.model.set_class_vectors(final)

    def _class_vectors(self) -> tf.Tensor:
        embeddings = self.window.embed(
            self.clean, self.window.pack(), self.window.channels()
        )
        way = int(tf.reduce_max(self.labels)) + 1
        vectors = prototypes(embeddings, self.labels, way)
        return _unit(vectors)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    """Returns class vectors of the length at which they start."""
    return VECTOR_LENGTH * tf.math.l2_normalize(vectors, axis=-1)
