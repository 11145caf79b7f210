"""`wrap` and the model it returns, which learns by `fit` on a support set."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.examples import as_examples, check_examples
from keras_tinytrain.heads import (
    HEADS,
    accuracy,
    cosine_logits,
    cross_entropy,
)
from keras_tinytrain.masking import apply_plan
from keras_tinytrain.network import Network
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.qas import QASOptimizer
from keras_tinytrain.slices import replace_weight
from keras_tinytrain.trainer import Trainer
from keras_tinytrain.training import STEPS, VIEWS, fit
from keras_tinytrain.window import Window


def wrap(model: keras.Model, *, head: str = "linear") -> AdaptiveModel:
    """Makes a Keras CNN that can learn a new task from a few images.

    The model is copied and its copy frozen. Nothing of it trains until a
    plan says what (`apply_plan`, or a callback in `fit`).

    Args:
        model: A functional or Sequential CNN that maps images to features
            or feature maps, without classifier: Conv2D, DepthwiseConv2D,
            Dense, BatchNormalization behind one of them, and any layers
            without weights. Models inside the model are fine.
        head: `"linear"` trains one vector per class, starting from the class
            means of the support embeddings. `"prototype"` takes the class
            means themselves, in every step anew.

    Returns:
        The `AdaptiveModel`. It computes what `model` does until it is
        fitted, and logits of the task's classes from then on.

    Raises:
        ValueError: If a layer cannot be masked, with its name and a remedy.

    Example:
    >>> model = keras_tinytrain.wrap(keras_tinytrain.zoo.MCUNet())
    >>> budget = keras_tinytrain.Budget(memory="1MB", macs=6_500_000)
    >>> model.fit(support, callbacks=[TaskAdaptiveSparse(budget)])
    """
    if isinstance(model, AdaptiveModel):
        raise ValueError(
            "Expected a plain Keras model. Received: one that is wrapped "
            "already. Use `unwrap` first."
        )
    Network(model)  # Refuses before anything is copied.
    return AdaptiveModel(_copy(model), head=head)


def unwrap(model: AdaptiveModel) -> keras.Model:
    """Returns a plain Keras model with what has been learned.

    Layers, names, `trainable` flags and weights are those of the model that
    was wrapped, except for the trained channels. The head is left out.

    Args:
        model: A wrapped model, which stays as it is.
    """
    plain = _copy(model.source)
    layers = Network(plain).layers
    for name, masked in model.network.layers.items():
        if masked.is_trained:
            layers[name].absorb(masked.slices())
    return plain


def _copy(model: keras.Model) -> keras.Model:
    inputs = None
    if not isinstance(model, keras.Sequential):
        # Without, `clone_model` gives the input layer another name.
        inputs = keras.tree.map_structure(_same_input, model.input)
    copy = keras.models.clone_model(model, inputs)
    copy.set_weights(model.get_weights())
    return copy


def _same_input(tensor: keras.KerasTensor) -> keras.KerasTensor:
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        name=tensor._keras_history.operation.name,
    )


@keras.saving.register_keras_serializable("keras_tinytrain")
class AdaptiveModel(keras.Model):
    """A frozen network, trainable slices of it, and a head. See `wrap`.

    Attributes:
        source: The wrapped Keras model, frozen.
        network: Its operations, with masked layers.
        plan: The `UpdatePlan` in force, or None.
        head: `"prototype"` or `"linear"`.
        class_vectors: `(way, depth)` after `fit`, None before.
        support: The support set while `fit` runs.
    """

    def __init__(
        self,
        source: keras.Model,
        *,
        head: str = "linear",
        plan: UpdatePlan | None = None,
        class_vectors_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        if head not in HEADS:
            raise ValueError(
                f"Expected head to be one of {list(HEADS)}. Received: "
                f"head={head!r}"
            )
        super().__init__(name=name or source.name)
        # The variables alone: layers keep the user's `trainable` flags.
        for variable in source.trainable_variables:
            variable.trainable = False
        self.source = source
        self.network = Network(source)
        self.masked_layers = list(self.network.layers.values())
        self.head = head
        self.plan = None
        self.support = None
        self.class_vectors = None
        self.built = True
        self._windows: dict[tuple[str, frozenset[str]], Window] = {}
        self._trainers: dict[Window, Trainer] = {}
        self.first_candidate: str | None = None
        self.plans_applied = 0
        if plan is not None:
            apply_plan(self, plan)
        if class_vectors_shape is not None:
            self.set_class_vectors(np.zeros(class_vectors_shape, np.float32))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes logits, or what the wrapped model does before `fit`."""
        tensors = {0: tf.cast(inputs, tf.float32)}
        tensors = self.network.run(tensors)
        if self.class_vectors is None:
            return tensors[self.network.output]
        embeddings = HEADS[self.head](tensors[self.network.features])
        return cosine_logits(embeddings, self.class_vectors.value)

    def window(
        self, first: str | None = None, by_input: Collection[str] = ()
    ) -> Window:
        """Returns the compiled part of the network from a layer on.

        Args:
            first: Name of the layer; the first of the network when None.
            by_input: Names of the layers that train input channels.
        """
        first = first or next(iter(self.network.layers))
        if first not in self.network.layers:
            raise ValueError(
                "Expected the name of a layer of "
                f"{list(self.network.layers)}. Received: {first!r}"
            )
        key = first, frozenset(by_input)
        if key not in self._windows:
            self._windows[key] = Window(self.network, first, self.head, key[1])
        return self._windows[key]

    def set_class_vectors(self, values: tf.Tensor) -> None:
        """Sets the vectors of the head, `(way, depth)`."""
        trainable = self.head == "linear"
        replace_weight(self, "class_vectors", values, trainable=trainable)

    def compile(
        self, optimizer: Any = None, loss: Any = None, metrics: Any = None
    ) -> None:
        """Chooses the optimizer. Without a call `fit` takes the default.

        Args:
            optimizer: Any Keras optimizer; each new plan starts it afresh.
                None is Adam, with a learning rate that the first step
                finds: see `keras_tinytrain.training.learning_rate`. Of an
                int8 network it is `QASOptimizer("adam")`.
            loss: None or `"sparse_categorical_crossentropy"`: the loss
                belongs to the head.
            metrics: None or `["accuracy"]`, which is always there.
        """
        if loss not in (None, "sparse_categorical_crossentropy"):
            raise ValueError(
                "Expected loss=None or 'sparse_categorical_crossentropy': "
                f"the head has its own. Received: loss={loss!r}"
            )
        if metrics not in (None, ["accuracy"]):
            raise ValueError(
                "Expected metrics=None or ['accuracy']. Received: "
                f"metrics={metrics!r}"
            )
        self.adapts_learning_rate = optimizer is None
        if optimizer is None:
            quantized = any(la.is_quantized for la in self.masked_layers)
            optimizer = QASOptimizer("adam") if quantized else "adam"
        super().compile(optimizer=optimizer)
        self._trainers.clear()

    def fit(
        self,
        x: Any,
        y: Any = None,
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
        """Learns a task from its support set, under the plan.

        See `keras_tinytrain.fit`, to which all arguments are passed.
        """
        return fit(
            self,
            as_examples(x, y),
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            views=views,
            seed=seed,
            query_images=query_images,
            callbacks=callbacks,
            validation_data=validation_data,
            verbose=verbose,
        )

    def embed(self, images: np.ndarray) -> tf.Tensor:
        """Computes embeddings `(n, depth)` of images."""
        window = self.training_window()
        return window.embed(
            window.prefix(images), window.pack(), window.channels()
        )

    def predict(
        self, x: np.ndarray, batch_size: int = 64, verbose: str | int = 0
    ) -> np.ndarray:
        """Computes logits `(n, way)`; before `fit` what the wrapped model does.

        Args:
            x: Images `(n, height, width, channels)`.
            batch_size: Images at a time.
            verbose: Unused; there is no progress to see.

        Raises:
            ValueError: If there is no image.
        """
        del verbose
        if not len(x):
            raise ValueError(
                "Expected at least one image. Received: images of shape "
                f"{np.shape(x)}"
            )
        parts = [
            self._predict(np.asarray(x[i : i + batch_size]))
            for i in range(0, len(x), batch_size)
        ]
        return tf.concat(parts, axis=0).numpy()

    def _predict(self, images: np.ndarray) -> tf.Tensor:
        if self.class_vectors is None:
            return self(images)
        return cosine_logits(self.embed(images), self.class_vectors.value)

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 64,
        verbose: str | int = "auto",
        return_dict: bool = False,
    ) -> list[float] | dict[str, float]:
        """Measures loss and accuracy on a query set.

        Args:
            x: `Examples`, images, or a dataset of images and labels.
            y: Labels, if `x` is images.
            batch_size: Images at a time.
            verbose: 0 prints nothing.
            return_dict: Whether to return a dictionary.

        Returns:
            `[loss, accuracy]`, or both by name.
        """
        if self.class_vectors is None:
            raise ValueError(
                "Expected a fitted model. Received: one without class "
                "vectors. Call `fit` on a support set first."
            )
        way = self.class_vectors.shape[0]
        query = check_examples(
            as_examples(x, y), way=way, channels=self.network.input_shape[-1]
        )
        logits = self.predict(query.images, batch_size)
        labels = tf.constant(query.labels, tf.int32)
        loss = float(tf.reduce_mean(cross_entropy(labels, logits)))
        result = {"loss": loss, "accuracy": float(accuracy(labels, logits))}
        if verbose != 0:
            print(" - ".join(f"{k}: {v:.4f}" for k, v in result.items()))
        return result if return_dict else list(result.values())

    def training_window(self) -> Window:
        """Returns the part of the network that runs in a training step."""
        layers = self.plan.layers if self.plan else ()
        first = self.first_candidate
        if first is None and layers:
            first = layers[0].name
        return self.window(first, [c.name for c in layers if c.inputs])

    def trainer(self, size: int) -> Trainer:
        """Returns a compiled trainer for a vector of at least `size`.

        The same one as before, as long as it is large enough and the
        optimizer keeps its settings.
        """
        window, size = self.training_window(), int(size)
        trainer = self._trainers.get(window)
        if (
            trainer is None
            or trainer.vector.shape[0] < size
            or trainer.settings != self.optimizer.get_config()
        ):
            # The next power of two, so that the next task fits as well.
            capacity = 1 << max(size - 1, 1).bit_length()
            trainer = Trainer(window, self.optimizer, capacity, self.head)
            self._trainers[window] = trainer
        return trainer

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` builds the same structure from."""
        vectors = self.class_vectors
        return {
            "source": keras.saving.serialize_keras_object(self.source),
            "head": self.head,
            "plan": None if self.plan is None else self.plan.to_json(),
            "class_vectors_shape": None
            if vectors is None
            else list(vectors.shape),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None) -> AdaptiveModel:
        """Builds a model of the structure that `get_config` gave."""
        source = keras.saving.deserialize_keras_object(
            config["source"], custom_objects=custom_objects
        )
        plan = config["plan"] and UpdatePlan.from_json(config["plan"])
        return cls(**{**config, "source": source, "plan": plan})

    def get_compile_config(self) -> dict[str, Any] | None:
        """Returns the optimizer, which starts afresh when loaded."""
        if not self.compiled:
            return None
        if self.adapts_learning_rate:
            return {"optimizer": None}
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer)
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with what `get_compile_config` gave."""
        self.compile(keras.saving.deserialize_keras_object(config["optimizer"]))
