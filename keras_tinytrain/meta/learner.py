"""What is trained: its loss on an episode, and a step of the optimizer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.heads import (
    HEADS,
    SCALE,
    accuracy,
    cosine_logits,
    cross_entropy,
    prototypes,
)
from keras_tinytrain.meta.recipe import Recipe
from keras_tinytrain.meta.stream import Batch
from keras_tinytrain.meta.whitening import check_whitening, whiten

MOMENTUM = 0.9
ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-7


class State(NamedTuple):
    """All that training changes; each step makes a new one.

    Attributes:
        values: `(size,)` the trained numbers: weights of the net, scale of
            the logits, class vectors.
        slots: `(1 or 2, size)` what the optimizer remembers.
        step: Number of steps done.
    """

    values: tf.Tensor
    slots: tf.Tensor
    step: int


class Learner:
    """A net and the scale of its logits, as a function of one vector.

    With one vector a step, an all-reduce and a checkpoint are one operation
    each, and there is no variable that a strategy would have to own.

    Args:
        net: A functional or Sequential model from images to feature maps or
            embeddings. `BatchNormalization` keeps its statistics.
        recipe: Head, optimizer and loss.
        classes: Number of classes of the source.

    Attributes:
        size: Length of the vector.
        fingerprint: Twelve digits that change with the layers, with what of
            them trains, and with the weights at the start.

    Raises:
        ValueError: If the net does not take images of three channels, has
            nothing to train, or a last layer that cannot be whitened.
    """

    def __init__(self, net: keras.Model, recipe: Recipe, classes: int) -> None:
        _check(net)
        self.recipe = recipe
        self._features = _feature_model(net)
        self._embed = HEADS[recipe.head]
        self._trained = self._features.trainable_variables
        shapes = [tuple(v.shape) for v in self._trained] + [()]
        if recipe.classification:
            spec = tf.TensorSpec([1, *self._features.output.shape[1:]])
            embed = tf.function(self._embed).get_concrete_function(spec)
            shapes.append((classes, embed.structured_outputs.shape[-1]))
        if recipe.whitening:
            check_whitening(self._features)
        # The weights at the start: what the net makes of photographs with
        # them is kept, or a share of themselves.
        self._before = []
        if recipe.distillation or recipe.keep:
            self._before = [tf.constant(v) for v in self._trained]
        self._shapes = shapes
        self._sizes = [math.prod(shape) for shape in shapes]
        self.size = sum(self._sizes)
        digest = hashlib.sha256()
        for weight in self._features.weights:
            about = weight.path, tuple(weight.shape), weight.trainable
            digest.update(repr(about).encode() + weight.numpy().tobytes())
        self.fingerprint = digest.hexdigest()[:12]

    def start(self) -> State:
        """Returns the state before the first step, from the net's weights."""
        values = [v.numpy() for v in self._trained] + [np.float32(SCALE)]
        rng = np.random.Generator(np.random.PCG64(self.recipe.seed))
        values += [rng.normal(size=s) for s in self._shapes[len(values) :]]
        vector = np.concatenate([np.ravel(v) for v in values])
        slots = 2 if self.recipe.optimizer == "adam" else 1
        return State(
            tf.constant(vector, tf.float32), tf.zeros([slots, self.size]), 0
        )

    def finish(self, state: State) -> None:
        """Writes what was trained into the net, less what it keeps."""
        values = self._split(state.values)[: len(self._trained)]
        keep = self.recipe.keep
        if keep:
            values = [
                keep * before + (1 - keep) * value
                for before, value in zip(self._before, values)
            ]
        for variable, value in zip(self._trained, values):
            variable.assign(value)

    def whiten(self, tasks: Iterable[Batch]) -> None:
        """Evens out the last layer of the net, see `whitening`."""
        whiten(self._features, tasks)

    def scale(self, state: State) -> float:
        """Returns the scale of the logits."""
        return float(self._split(state.values)[len(self._trained)])

    def loss(
        self, values: tf.Tensor, batch: Batch
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns loss and accuracy of an episode.

        Query images are compared with the class means of the support images.
        PMF also adds a learnt number to all cosines; softmax takes it out
        again, so there is none here.

        Args:
            values: As `State.values`.
            batch: The episode.

        Reference:
            - [Prototypical networks](https://arxiv.org/abs/1703.05175)
            - [PMF](https://arxiv.org/abs/2204.07305), section 3
        """
        parts = self._split(values)
        weights, (scale, *vectors) = (
            parts[: len(self._trained)],
            parts[len(self._trained) :],
        )
        embeddings = self._embed_images(weights, batch.images)
        support, labels = batch.support, batch.labels
        way = tf.reduce_max(labels) + 1
        means = prototypes(embeddings[:support], labels[:support], way)
        logits = cosine_logits(embeddings[support:], means, scale)
        loss = tf.reduce_mean(cross_entropy(labels[support:], logits))
        share = self.recipe.classification
        if share:
            everything = cosine_logits(embeddings, vectors[0], scale)
            known = batch.classes >= 0
            plain = cross_entropy(tf.maximum(batch.classes, 0), everything)
            plain = tf.reduce_mean(tf.where(known, plain, 0.0))
            loss = (1 - share) * loss + share * plain
        if self.recipe.distillation:
            loss += self.recipe.distillation * tf.cond(
                batch.photographs,
                lambda: self._departure(embeddings, batch.images),
                lambda: 0.0,
            )
        return loss, accuracy(labels[support:], logits)

    def _embed_images(self, weights, images: tf.Tensor) -> tf.Tensor:
        # Statistics and whatever else does not train.
        fixed = [v.value for v in self._features.non_trainable_variables]
        features, _ = self._features.stateless_call(
            weights, fixed, tf.cast(images, tf.float32), training=False
        )
        return self._embed(features)

    def _departure(self, embeddings: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Returns how far embeddings went from those at the start."""
        start = self._embed_images(self._before, images)
        start = tf.stop_gradient(tf.math.l2_normalize(start, axis=-1))
        cosines = start * tf.math.l2_normalize(embeddings, axis=-1)
        return 1.0 - tf.reduce_mean(tf.reduce_sum(cosines, axis=-1))

    def update(self, state: State, gradient: tf.Tensor, rate: float) -> State:
        """Returns the state after a step of the optimizer."""
        return State(
            *_UPDATES[self.recipe.optimizer](
                state.values,
                state.slots,
                gradient,
                tf.constant(rate, tf.float32),
                tf.constant(state.step + 1, tf.float32),
            ),
            state.step + 1,
        )

    def _split(self, values: tf.Tensor) -> list[tf.Tensor]:
        parts = tf.split(values, self._sizes)
        return [tf.reshape(p, s) for p, s in zip(parts, self._shapes)]


@tf.function
def _sgd(values, slots, gradient, rate, step):
    del step
    slots = MOMENTUM * slots + gradient
    return values - rate * slots[0], slots


@tf.function
def _adam(values, slots, gradient, rate, step):
    first, second = ADAM_DECAYS
    mean = first * slots[0] + (1 - first) * gradient
    square = second * slots[1] + (1 - second) * gradient**2
    change = (mean / (1 - first**step)) / (
        tf.sqrt(square / (1 - second**step)) + ADAM_EPSILON
    )
    return values - rate * change, tf.stack([mean, square])


_UPDATES = {"sgd": _sgd, "adam": _adam}


def _check(net: keras.Model) -> None:
    shape = getattr(net, "input_shape", None)
    graph = hasattr(net, "operations") or hasattr(net, "_functional")
    if not graph or not isinstance(shape, tuple) or shape[3:] != (3,):
        raise ValueError(
            "Expected a functional or Sequential model that takes images "
            "(height, width, 3). Received: "
            f"{type(net).__name__} with input_shape={shape}"
        )
    if not net.trainable_variables:
        raise ValueError(
            "Expected a net with weights that train. Received: "
            f"{net.name!r} with none; set `trainable`"
        )


def _feature_model(net: keras.Model) -> keras.Model:
    """Returns the net without a last pooling, which the head does."""
    last = net.layers[-1]
    if isinstance(last, keras.layers.GlobalAveragePooling2D):
        return keras.Model(net.inputs, last.input)
    return net
