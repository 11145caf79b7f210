"""The part of a network from some operation on, compiled once.

Everything below is constant while the part above trains. The functions take
the trained channels as arguments, so that no plan, no task and no number of
images makes TensorFlow trace them again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.augmentation import augment, value_range
from keras_tinytrain.heads import HEADS, cosine_logits, cross_entropy
from keras_tinytrain.network import Network
from keras_tinytrain.slices import Slice

# Images that pass through the prefix at a time. Bounds its memory.
CHUNK = 64
# The same of an int8 network, whose float64 should stay in the cache.
INT8_CHUNK = 4
# The tensors between prefix and tail.
Features = tuple[tf.Tensor, ...]
# Of each layer the channels whose kernel trains, and those whose bias does.
Chosen = Sequence[tuple[tf.Tensor, tf.Tensor]]


class Window:
    """Prefix and tail of a network, cut in front of one layer.

    Args:
        network: The network.
        first: Name of the first layer of the tail.
        head: Whose embeddings are computed, one of `HEADS`.
        by_input: Names of the layers that train input channels. The others
            train output channels: this is compiled, how many and which
            channels is not.

    Attributes:
        layers: The masked layers of the tail by name, in order.
    """

    def __init__(
        self,
        network: Network,
        first: str,
        head: str,
        by_input: Collection[str] = (),
    ) -> None:
        self.network = network
        self.pool = HEADS[head]
        self.first = first
        self.by_input = frozenset(by_input)
        self.start = network.position[first]
        self.layers = {
            name: layer
            for name, layer in network.layers.items()
            if network.position[name] >= self.start
        }
        quantized = any(la.is_quantized for la in network.layers.values())
        self._rows = INT8_CHUNK if quantized else CHUNK
        self._boundary = network.live(self.start)
        shapes = {0: network.input_shape}
        shapes |= {op.output: op.shape for op in network.ops}
        # Signatures of the compiled functions: what varies is None.
        images = tf.TensorSpec((None, *network.input_shape[1:]))
        self.features_spec = tuple(
            tf.TensorSpec((None, *shapes[i][1:])) for i in self._boundary
        )
        self.labels_spec = tf.TensorSpec([None], tf.int32)
        pair = self.labels_spec, self.labels_spec
        self.channels_spec = (pair,) * len(self.layers)
        vector, rows = tf.TensorSpec([None]), tf.TensorSpec([None, None])
        seed, number = tf.TensorSpec([2], tf.int64), tf.TensorSpec([])
        trained = vector, self.channels_spec
        self._compiled_prefix = tf.function(self._run_prefix, [images])
        self._compiled_view = tf.function(
            augment, [images, seed, number, number]
        )
        self._compiled_embed = tf.function(
            self._unpack_and_run, [self.features_spec, *trained]
        )
        self._compiled_gate_gradients = tf.function(
            self._gate_gradients,
            [self.features_spec, self.labels_spec, rows, *trained],
        )

    def prefix(self, images: np.ndarray) -> Features:
        """Computes the boundary tensors of images."""
        parts = [
            self._pass(self._chunk(images, i))
            for i in range(0, len(images), CHUNK)
        ]
        return join(parts)

    def prefix_of_view(
        self, images: np.ndarray, seed: tuple[int, int]
    ) -> Features:
        """Computes the boundary tensors of one random view of images."""
        low, high = value_range(images)
        parts = []
        for i in range(0, len(images), CHUNK):
            chunk = self._chunk(images, i)
            chunk_seed = tf.constant([seed[0], seed[1] + i], tf.int64)
            view = self._compiled_view(chunk, chunk_seed, low, high)
            parts.append(self._pass(view))
        return join(parts)

    def _pass(self, chunk: tf.Tensor) -> Features:
        """Computes the boundary tensors of a chunk."""
        starts = range(0, len(chunk), self._rows)
        rows = (chunk[i : i + self._rows] for i in starts)
        return join([self._compiled_prefix(some) for some in rows])

    def _chunk(self, images: np.ndarray, start: int) -> tf.Tensor:
        expected, received = self.network.input_shape[1:], images.shape[1:]
        if not tf.TensorShape(expected).is_compatible_with(received):
            raise ValueError(
                f"Expected images of shape {expected}. Received: images of "
                f"shape {tuple(received)}. Resize them, or wrap a model of "
                "their size."
            )
        return tf.constant(images[start : start + CHUNK], tf.float32)

    def _run_prefix(self, images: tf.Tensor) -> Features:
        tensors = {0: images}
        tensors = self.network.run(tensors, 0, self.start, slices={})
        return tuple(tensors[i] for i in self._boundary)

    def tail(
        self,
        features: Features,
        slices: dict[str, Slice],
        gates: dict[str, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Computes embeddings `(n, depth)`, not compiled; see `Network.run`."""
        tensors = dict(zip(self._boundary, features))
        tensors = self.network.run(tensors, self.start, None, slices, gates)
        return self.pool(tensors[self.network.features])

    def embed(
        self, features: Features, trained: tf.Tensor, channels: Chosen
    ) -> tf.Tensor:
        """Computes embeddings.

        Args:
            features: Boundary tensors.
            trained: What `pack` returned.
            channels: What `channels` returned.
        """
        return self._compiled_embed(features, trained, tuple(channels))

    def _unpack_and_run(self, features, trained, channels):
        return self.tail(features, self.unpack(trained, channels))

    def gate_gradients(
        self,
        features: Features,
        labels: tf.Tensor,
        class_vectors: tf.Tensor,
    ) -> tf.Tensor:
        """Computes `sum_d a_nd g_nd` of all channels, `(n, all channels)`.

        It does so at the wrapped weights, as if nothing had been trained.
        Here a is a layer's linear output and g the gradient of the summed
        cross-entropy. A factor of one on each channel of each example has
        this as its gradient.
        """
        return self._compiled_gate_gradients(
            features, labels, class_vectors, *self.untrained()
        )

    def _gate_gradients(
        self, features, labels, class_vectors, trained, channels
    ):
        slices = self.unpack(trained, channels)
        gates = {}
        for name, layer in self.layers.items():
            rank = len(self.network.ops[self.network.position[name]].shape)
            shape = [tf.size(labels), *([1] * (rank - 2)), layer.size]
            gates[name] = tf.ones(tf.stack(shape))
        with tf.GradientTape() as tape:
            tape.watch(gates)
            embeddings = self.tail(features, slices, gates)
            logits = cosine_logits(embeddings, class_vectors)
            loss = tf.reduce_sum(cross_entropy(labels, logits))
        found = tape.gradient(loss, gates).values()
        rows = [tf.reshape(g, [tf.size(labels), -1]) for g in found]
        return tf.concat(rows, axis=-1)

    def channels(self) -> Chosen:
        """Returns the trained channels of each layer of the tail."""
        train_inputs = {n for n, m in self.layers.items() if len(m.inputs)}
        if not train_inputs <= self.by_input:
            raise ValueError(
                "Expected a window in which these layers train input "
                f"channels: {sorted(train_inputs)}. Received: by_input="
                f"{sorted(self.by_input)}. Use `model.training_window()`."
            )
        return tuple(
            (
                tf.constant(m.inputs if name in self.by_input else m.channels),
                tf.constant(m.biased),
            )
            for name, m in self.layers.items()
        )

    def untrained(self) -> tuple[tf.Tensor, Chosen]:
        """Returns what `pack` and `channels` do of a model without plan."""
        none = tf.zeros(0, tf.int32)
        return tf.zeros(0), ((none, none),) * len(self.layers)

    def pack(self) -> tf.Tensor:
        """Joins all trained slices of the tail in one vector."""
        parts = [variable.numpy().ravel() for variable in self._slices()]
        return tf.constant(np.concatenate([*parts, []]), tf.float32)

    def steps(self) -> tf.Tensor:
        """Returns what 1.0 means in each entry of `pack`."""
        layers = self.layers.values()
        parts = [step.ravel() for la in layers for step in la.slice_steps()]
        return tf.constant(np.concatenate([*parts, []]), tf.float32)

    def unpack(self, trained: tf.Tensor, channels: Chosen) -> dict[str, Slice]:
        """Parts the vector of `pack` again, whatever may follow in it."""
        sizes = []
        for (name, layer), (chosen, biased) in zip(
            self.layers.items(), channels
        ):
            weights = math.prod(layer.slice_shape(1, name in self.by_input))
            sizes += [weights * tf.size(chosen), tf.size(biased)]
        parts = iter(tf.split(trained[: sum(sizes)], sizes))
        slices = {}
        for (name, layer), (chosen, biased) in zip(
            self.layers.items(), channels
        ):
            by_input = name in self.by_input
            shape = layer.slice_shape(tf.size(chosen), by_input)
            kernel = tf.reshape(next(parts), tf.stack(shape))
            kernel.set_shape(layer.slice_shape(None, by_input))
            slices[name] = Slice(chosen, kernel, biased, next(parts), by_input)
        return slices

    def assign(self, trained: tf.Tensor) -> None:
        """Writes the vector of `pack` back into the layers."""
        values, start = trained.numpy(), 0
        for variable in self._slices():
            size = math.prod(variable.shape)
            rows = values[start : start + size]
            variable.assign(rows.reshape(variable.shape))
            start += size

    def _slices(self) -> list[keras.Variable]:
        """Lists the trained variables in the order of `pack`."""
        pairs = (
            (layer.kernel_slice, layer.bias_slice)
            for layer in self.layers.values()
        )
        return [v for pair in pairs for v in pair if v is not None]


def join(parts: Sequence[Features]) -> Features:
    """Joins the boundary tensors of several sets of images."""
    return tuple(tf.concat(tensors, axis=0) for tensors in zip(*parts))
