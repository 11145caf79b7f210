"""The compiled step: one optimizer on one vector of all trained weights."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_tinytrain.heads import (
    accuracy,
    cosine_logits,
    cross_entropy,
    entropy,
    prototypes,
)
from keras_tinytrain.qas import QASOptimizer
from keras_tinytrain.window import Features, Window, join


class Trainer:
    """Trains all slices of a plan as one vector, compiled once.

    The vector holds the trained kernels and biases of all layers and the
    class vectors of a linear head. Its capacity is fixed, because the slots
    of an optimizer are; what a plan leaves over stays zero. So a new plan is
    a new content under a reset optimizer, and nothing is traced again.

    Args:
        window: The part of the network that runs in each step.
        optimizer: A Keras optimizer, of which a fresh copy is made.
        capacity: Size of the vector.
        head: `"prototype"` or `"linear"`.

    Attributes:
        optimizer: The copy.
        settings: The configuration that it was made from.
        task: What `start` was last called with.
        left: Class vectors as they were last trained, and what the model was
            given of them, for a training that goes on; None before.
    """

    def __init__(
        self,
        window: Window,
        optimizer: keras.optimizers.Optimizer,
        capacity: int,
        head: str,
    ) -> None:
        self.window = window
        self.head = head
        self.task: Any = None
        self.left: tuple[tf.Tensor, tf.Tensor] | None = None
        self.vector = keras.Variable(tf.zeros(capacity), name="trained")
        self.settings = optimizer.get_config()
        self.optimizer = type(optimizer).from_config(self.settings)
        self.optimizer.build([self.vector])
        self._initial = [tf.identity(v.value) for v in self.optimizer.variables]
        number, pair = (tf.TensorSpec(n, tf.int32) for n in ([], [2]))
        features = window.features_spec
        signature = [
            features,
            features,
            window.labels_spec,
            window.channels_spec,
            number,
            pair,
        ]
        self._compiled_step = tf.function(self._step, signature)
        # Traced when there are unlabelled images for the first time.
        self._compiled_transductive_step = tf.function(
            self._step, [*signature, features]
        )

    def start(self, class_vectors: tf.Tensor, *, task: Any) -> None:
        """Loads the slices of the layers and the class vectors.

        Args:
            class_vectors: `(way, depth)`, where a linear head starts.
            task: What this training belongs to. With another task than last
                time the optimizer forgets what it has gathered.
        """
        slices = self.window.pack()
        self.channels = self.window.channels()
        self.head_shape = tf.shape(class_vectors)
        self.head_start = tf.size(slices)
        content = slices
        if self.head == "linear":
            rows = tf.reshape(class_vectors, [-1])
            content = tf.concat([slices, rows], axis=0)
        left = self.vector.shape[0] - content.shape[0]
        self.vector.assign(tf.pad(content, [[0, left]]))
        if task != self.task:
            for variable, value in zip(self.optimizer.variables, self._initial):
                variable.assign(value)
        if isinstance(self.optimizer, QASOptimizer):
            # The vectors of the head are no integers.
            others = tf.ones(self.vector.shape[0] - slices.shape[0])
            steps = tf.concat([self.window.steps(), others], axis=0)
            self.optimizer.set_steps([steps])
        self.task = task

    def step(
        self,
        clean: Features,
        view: Features,
        labels: tf.Tensor,
        unlabelled: Features = (),
    ) -> dict[str, float]:
        """Makes one step; returns the loss and the accuracy on the view.

        The loss is the mean cross-entropy on the view. With unlabelled images
        it is the sum of this and `entropy`, which then is returned too: the
        mean entropy of their predictions, as a share of that of guessing.

        Args:
            clean: Boundary tensors of the support images.
            view: Boundary tensors of their augmented views.
            labels: `(n,)` int32.
            unlabelled: Boundary tensors of other images.
        """
        state = self.channels, self.head_start, self.head_shape
        if unlabelled:
            logs = self._compiled_transductive_step(
                clean, view, labels, *state, unlabelled
            )
        else:
            logs = self._compiled_step(clean, view, labels, *state)
        return {name: float(value) for name, value in logs.items()}

    def result(self) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns the slices, and the class vectors of a linear head."""
        slices = self.vector.value[: self.head_start]
        if self.head != "linear":
            return slices, None
        size = tf.reduce_prod(self.head_shape)
        rows = self.vector.value[self.head_start :][:size]
        return slices, tf.reshape(rows, self.head_shape)

    def _step(
        self,
        clean,
        view,
        labels,
        channels,
        head_start,
        head_shape,
        unlabelled=(),
    ):
        count = tf.size(labels)
        sets = [view, unlabelled] if unlabelled else [view]
        with tf.GradientTape() as tape:
            vector = tf.identity(self.vector.value)
            tape.watch(vector)
            slices = self.window.unpack(vector, channels)
            if self.head == "linear":
                embeddings = self.window.tail(join(sets), slices)
                rows = vector[head_start:][: tf.reduce_prod(head_shape)]
                class_vectors = tf.reshape(rows, head_shape)
            else:
                # One pass over all: the prototypes carry gradient too.
                every = self.window.tail(join([clean, *sets]), slices)
                embeddings = every[count:]
                class_vectors = prototypes(every[:count], labels, head_shape[0])
            logits = cosine_logits(embeddings, class_vectors)
            loss = tf.reduce_mean(cross_entropy(labels, logits[:count]))
            logs = {"accuracy": accuracy(labels, logits[:count])}
            if unlabelled:
                guessing = tf.math.log(tf.cast(head_shape[0], tf.float32))
                logs["entropy"] = (
                    tf.reduce_mean(entropy(logits[count:])) / guessing
                )
                loss += logs["entropy"]
        gradient = tape.gradient(loss, vector)
        self.optimizer.apply([gradient], [self.vector])
        return logs | {"loss": loss}
