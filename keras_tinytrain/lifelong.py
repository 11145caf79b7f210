"""Learning that does not end: one labelled sample at a time, for ever."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.costs import WAY
from keras_tinytrain.device_graph import Graph, tail
from keras_tinytrain.heads import cosine_logits
from keras_tinytrain.lower import lower
from keras_tinytrain.masking import apply_plan
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.qas import QASOptimizer
from keras_tinytrain.reservoir import Reservoir
from keras_tinytrain.training import VECTOR_LENGTH

# Of momentum-free SGD on real weights, a step for each sample.
RATE = 0.01
# Stored samples that a step goes through again with each new one.
REPLAYS = 8


class LifelongLearner:
    """Learns from a stream of samples, new classes included.

    The frozen part of the network runs once for each sample. What passes into
    the part that trains, int8 as the graph has it, is learned from in a step
    together with some of what the reservoir keeps; then the reservoir is
    shown it. Without a reservoir a sample is seen once and gone, and what
    comes later overwrites what was learned before.

    After each step the model holds what was learned: `predict`, `evaluate`,
    saving and checkpoints are those of any other.

    Args:
        model: An int8 model with a linear head, `keras_tinytrain.quantize`.
            Compile it to choose the optimizer; otherwise it is momentum-free
            SGD with quantisation-aware scaling, as in the paper.
        plan: What trains.
        reservoir: Where boundary features are kept; None for nowhere.
        replays: Stored features in a step, besides the new sample.
        max_way: Most classes, for whose vectors there is room.

    Attributes:
        classes: Number of classes so far.

    Raises:
        ValueError: If the model is not as stated, no layer trains, or the
            reservoir holds something.

    Example:

    >>> learner = LifelongLearner(model, plan, reservoir=Reservoir(60))
    >>> for image, label in stream:
    ...     learner.observe(learner.read(image[np.newaxis])[0], label)

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472), section 3: lifelong
          learning at batch 1.
        - [Latent Replay for Real-Time Continual
          Learning](https://arxiv.org/abs/1912.01100): features of the
          boundary are stored, not images.
    """

    def __init__(
        self,
        model: AdaptiveModel,
        plan: UpdatePlan,
        *,
        reservoir: Reservoir | None = None,
        replays: int = REPLAYS,
        max_way: int = WAY,
    ) -> None:
        boundary = _boundary(model, plan)
        if reservoir is not None and len(reservoir):
            raise ValueError(
                "Expected an empty reservoir: its labels are those of "
                f"another stream. Received: one of {len(reservoir)} samples"
            )
        self.model, self.reservoir = model, reservoir
        self.replays, self.max_way, self.classes = replays, max_way, 0
        _, self._zero_point = boundary.input_stored
        if not model.compiled:
            model.compile(QASOptimizer(keras.optimizers.SGD(RATE)))
        apply_plan(model, plan)
        model.set_class_vectors(None)
        model.first_candidate = next(
            op.layer for op in boundary.ops if op.layer
        )
        self._window = model.training_window()
        self._vectors = tf.zeros((0, boundary.depth(model.head)))
        size = tf.size(self._window.pack()) + max_way * self._vectors.shape[1]
        self._trainer = model.trainer(size)

    def read(self, images: np.ndarray) -> np.ndarray:
        """Runs the frozen part.

        Returns:
            Boundary features as a device stores them, int8, one for each
            image.
        """
        (features,) = self._window.prefix(np.asarray(images))
        return (features.numpy() + self._zero_point).astype(np.int8)

    def observe(self, feature: np.ndarray, label: int) -> float | None:
        """Learns from a sample, and shows it to the reservoir.

        Args:
            feature: What `read` returned for its image.
            label: Its class, one of those before or the next number.

        Returns:
            The loss before the step, on the sample and what was replayed;
            None as long as there is one class.

        Raises:
            ValueError: If the label is none of these, there is no room, the
                feature is none, or training diverges: the model is then as
                it was after the sample before.
        """
        self._check(feature)
        if not 0 <= label <= self.classes or label == self.max_way:
            raise ValueError(
                "Expected a label of a class before, or the next one, "
                f"{self.classes}, below max_way={self.max_way}. Received: "
                f"label={label!r}"
            )
        features, labels = feature[np.newaxis], np.array([label])
        if label == self.classes:
            self._add_class(features)
        if self.reservoir is not None and len(self.reservoir):
            others, theirs = self.reservoir.draw(self.replays)
            features = np.concatenate([features, others])
            labels = np.concatenate([labels, theirs])
        loss = self._step(features, labels) if self.classes > 1 else None
        self.model.set_class_vectors(self._vectors)
        if self.reservoir is not None:
            self.reservoir.add(feature, label)
        return loss

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Computes logits `(n, classes)` of features that `read` returned."""
        return cosine_logits(self._embed(features), self._vectors).numpy()

    def _step(self, features: np.ndarray, labels: np.ndarray) -> float:
        tensors = self._tensors(features)
        labels = tf.constant(labels, tf.int32)
        loss = self._trainer.step(tensors, tensors, labels)["loss"]
        total = float(tf.reduce_sum(self._trainer.vector.value))
        if not math.isfinite(total):
            raise ValueError(
                f"Expected finite weights. Received: a sum of {total}, after "
                f"a step with a loss of {loss}. Try a lower learning rate"
            )
        slices, self._vectors = self._trainer.result()
        self._window.assign(slices)
        return loss

    def _check(self, feature: np.ndarray) -> None:
        (spec,) = self._window.features_spec
        if feature.shape != spec.shape[1:] or feature.dtype != np.int8:
            raise ValueError(
                "Expected a feature that `read` returned, int8 of shape "
                f"{tuple(spec.shape[1:])}. Received: {feature.dtype} of shape "
                f"{feature.shape}"
            )

    def _add_class(self, features: np.ndarray) -> None:
        """Starts the vector of a class at its first sample."""
        vector = tf.math.l2_normalize(self._embed(features), axis=-1)
        rows = [self._vectors, VECTOR_LENGTH * vector]
        self._vectors = tf.concat(rows, axis=0)
        self.classes += 1
        # The same task: the optimizer keeps what it knows of the others.
        self._trainer.start(self._vectors, task=self.model.plans_applied)

    def _embed(self, features: np.ndarray) -> tf.Tensor:
        window = self._window
        return window.embed(
            self._tensors(features), window.pack(), window.channels()
        )

    def _tensors(self, features: np.ndarray) -> tuple[tf.Tensor]:
        real = features.astype(np.float32) - self._zero_point
        return (tf.constant(real),)


def _boundary(model: AdaptiveModel, plan: UpdatePlan) -> Graph:
    """Returns the part that trains, from where the least bytes pass.

    One tensor, the smallest in front of the first layer that trains. Often
    this is the input of a block, where its first layer widens the tensor: a
    sixth of the bytes to store for one more layer to run in each replay.
    """
    if not plan.layers or model.head != "linear":
        raise ValueError(
            "Expected a model with a linear head, and a plan that trains a "
            f"layer. Received: head={model.head!r}, a plan of "
            f"{len(plan.layers)} layers"
        )
    whole, names = lower(model.network), list(model.network.layers)
    frozen = names[: names.index(plan.layers[0].name) + 1]
    tails = [tail(whole, name) for name in reversed(frozen)]
    graph = min(tails, key=lambda graph: math.prod(graph.input_shape))
    if graph.input_stored is None:
        raise ValueError(
            "Expected an int8 model, whose boundary is stored in int8. "
            "Received: a float one. Use `keras_tinytrain.quantize`"
        )
    return graph
