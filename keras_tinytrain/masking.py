"""Layers of which chosen output channels train, and nothing else.

A masked layer leaves the weights of the layer it stands for frozen and owns
trainable variables of just the chosen channels. `mask[c] == 1` means
"channel c is trained".
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.plan import UpdatePlan


class Masked(keras.layers.Layer):
    """Trains only chosen output channels of one layer.

    It computes what the layer computes, with the trained channels of kernel
    and bias replaced by `kernel_slice` and `bias_slice`. Filter gradients are
    computed for these channels alone. A `BatchNormalization` that follows the
    layer is folded in, with its inference statistics.

    `keras_tinytrain.masked_layers` has the kinds.

    Args:
        layer: The built layer; its weights stay as they are.
        batch_norm: The built `BatchNormalization` that follows it, or None.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        batch_norm: keras.layers.BatchNormalization | None = None,
    ) -> None:
        super().__init__(name=layer.name)
        self.layer = layer
        self.batch_norm = batch_norm
        self.use_bias = layer.use_bias or batch_norm is not None
        self.channels = np.zeros(0, np.int32)
        self.kernel_slice = self.bias_slice = None
        self.built = True

    @property
    def size(self) -> int:
        """Number of output channels."""
        return self.kernel_shape[-1]

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Shape of the kernel, output channels last."""
        return tuple(self.layer.kernel.shape)

    @property
    def mask(self) -> np.ndarray:
        """Integers `(size,)`, 1 where the channel is trained."""
        mask = np.zeros(self.size, np.int32)
        mask[self.channels] = 1
        return mask

    def folded(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the frozen kernel (channels last) and bias, norm folded."""
        kernel = tf.reshape(self.layer.kernel.value, self.kernel_shape)
        bias = (
            self.layer.bias.value
            if self.layer.use_bias
            else tf.zeros(self.size, kernel.dtype)
        )
        norm = self.batch_norm
        if norm is None:
            return kernel, bias
        scale = tf.math.rsqrt(norm.moving_variance.value + norm.epsilon)
        if norm.scale:
            scale *= norm.gamma.value
        bias = (bias - norm.moving_mean.value) * scale
        if norm.center:
            bias += norm.beta.value
        return kernel * scale, bias

    def train_channels(self, channels: Sequence[int]) -> None:
        """Makes these output channels trainable, from the frozen weights.

        Args:
            channels: Sorted distinct indices. Empty freezes the layer.
        """
        self.channels = np.asarray(channels, np.int32)
        kernel = bias = None
        if len(self.channels):
            kernel, bias = (
                v.numpy()[..., self.channels] for v in self.folded()
            )
        replace_weight(self, "kernel_slice", kernel)
        replace_weight(self, "bias_slice", bias if self.use_bias else None)

    def absorb(
        self, channels: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
    ) -> None:
        """Writes trained channels into the layer itself.

        The BatchNormalization behind it becomes the identity for them.

        Args:
            channels: `(k,)` indices.
            kernel: Their kernel, `(..., k)`.
            bias: Their biases, `(k,)`; empty without.
        """
        full = self.layer.kernel.numpy().reshape(self.kernel_shape)
        full[..., channels] = kernel
        self.layer.kernel.assign(full.reshape(self.layer.kernel.shape))
        norm = self.batch_norm
        if norm is not None:
            _write(norm.moving_variance, channels, 1.0 - norm.epsilon)
            _write(norm.moving_mean, channels, 0.0)
            if norm.scale:
                _write(norm.gamma, channels, 1.0)
            if norm.center:
                _write(norm.beta, channels, 0.0)
        if self.layer.use_bias:
            _write(self.layer.bias, channels, bias)
        elif norm is not None and norm.center:
            _write(norm.beta, channels, bias)
        elif norm is not None:
            _write(norm.moving_mean, channels, -bias)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes the layer with its own trained channels."""
        return self.forward(inputs, *self.slices())

    def slices(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the trained channels, their kernel and their bias."""
        if self.kernel_slice is None:
            return self.nothing()
        bias = self.bias_slice
        return (
            tf.constant(self.channels),
            self.kernel_slice.value,
            tf.zeros(0) if bias is None else bias.value,
        )

    def nothing(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the slices of a layer of which nothing trains."""
        shape = (*self.kernel_shape[:-1], 0)
        return tf.zeros(0, tf.int32), tf.zeros(shape), tf.zeros(0)

    def forward(
        self,
        inputs: tf.Tensor,
        channels: tf.Tensor,
        kernel: tf.Tensor,
        bias: tf.Tensor,
        gate: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Computes the layer with some channels replaced.

        Args:
            inputs: Input of the layer.
            channels: `(k,)` int32, the channels replaced. k may be dynamic.
            kernel: Kernel of these channels, `(..., k)`.
            bias: Bias of these channels, `(k,)`; empty without a bias.
            gate: `(batch, 1, ..., size)` factors of the linear output, whose
                gradient is sum_d a_d g_d of each example and channel.

        Returns:
            The activations.
        """
        base, base_bias = self.folded()
        full = _overlay(base, channels, kernel)
        full_bias = _overlay(base_bias, channels, bias)

        @tf.custom_gradient
        def affine(x, kernel, bias):
            # Kernel and bias are part of `full` and `full_bias` already,
            # which are kept out of the tape.
            outputs = self._linear(x, full)
            if self.use_bias:
                outputs = tf.nn.bias_add(outputs, full_bias)

            def gradient(d_outputs):
                d_kernel, d_bias = tf.cond(
                    2 * tf.size(channels) < self.size,
                    lambda: self._slice_gradients(x, d_outputs, channels),
                    lambda: tuple(
                        take(gradient, channels)
                        for gradient in self._slice_gradients(x, d_outputs)
                    ),
                )
                if not self.use_bias:
                    d_bias = tf.zeros_like(bias)
                return (
                    self._input_gradient(x, full, d_outputs),
                    d_kernel,
                    d_bias,
                )

            return outputs, gradient

        outputs = affine(inputs, kernel, bias)
        if gate is not None:
            outputs *= gate
        return self.layer.activation(outputs)

    def _slice_gradients(
        self,
        x: tf.Tensor,
        d_outputs: tf.Tensor,
        channels: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes the gradients of kernel and bias of some channels."""
        axes = list(range(d_outputs.shape.rank - 1))
        d_bias = tf.reduce_sum(take(d_outputs, channels), axis=axes)
        return self._filter_gradient(x, d_outputs, channels), d_bias

    def _linear(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def _input_gradient(
        self, x: tf.Tensor, kernel: tf.Tensor, d_outputs: tf.Tensor
    ) -> tf.Tensor:
        raise NotImplementedError

    def _filter_gradient(
        self,
        x: tf.Tensor,
        d_outputs: tf.Tensor,
        channels: tf.Tensor | None = None,
    ) -> tf.Tensor:
        raise NotImplementedError


def replace_weight(
    layer: keras.layers.Layer,
    name: str,
    values: tf.Tensor | np.ndarray | None,
    *,
    trainable: bool = True,
) -> None:
    """Gives a built layer a new variable as attribute `name`, or None.

    Args:
        layer: The layer.
        name: Name of the attribute, which exists.
        values: Initial values.
        trainable: Whether the variable trains.
    """
    old = getattr(layer, name)
    locked = layer._tracker.locked
    layer._tracker.unlock()  # As Keras' own `enable_lora` does.
    if old is not None:
        layer._untrack_variable(old)
    new = None
    if values is not None:
        new = layer.add_weight(
            name=name,
            shape=values.shape,
            trainable=trainable,
            initializer=lambda shape, dtype: tf.constant(values, dtype),
        )
    setattr(layer, name, new)
    if locked:
        layer._tracker.lock()


def apply_plan(model, plan: UpdatePlan) -> None:
    """Makes the channels of a plan trainable, and no others.

    Training starts from the wrapped weights: what was learned under another
    plan is dropped. To keep it, wrap the unwrapped model.

    Args:
        model: A wrapped model.
        plan: A plan for a network of the same layers.

    Raises:
        ValueError: If the plan belongs to another network; the model is
            unchanged then.
    """
    layers = model.network.layers
    received = {c.name: c.size for c in plan.layers}
    expected = {n: layers[n].size for n in received if n in layers}
    if plan.fingerprint != model.network.fingerprint or received != expected:
        raise ValueError(
            "Expected a plan for the network with fingerprint "
            f"{model.network.fingerprint!r} ({len(layers)} layers from "
            f"{next(iter(layers))!r}). Received: a plan for "
            f"{plan.fingerprint!r} with the layers {list(received)[:4]}"
        )
    for name, layer in layers.items():
        layer.train_channels(plan.channels.get(name, ()))
    model.plan, model.first_candidate = plan, None
    model.plans_applied += 1


def _write(variable: keras.Variable, channels, values) -> None:
    """Assigns some entries of a vector."""
    full = variable.numpy()
    full[channels] = values
    variable.assign(full)


def take(values: tf.Tensor, channels: tf.Tensor | None) -> tf.Tensor:
    """Picks channels of the last axis; all of them for None."""
    return values if channels is None else tf.gather(values, channels, axis=-1)


def _overlay(
    base: tf.Tensor, channels: tf.Tensor, values: tf.Tensor
) -> tf.Tensor:
    """Replaces channels of the last axis of `base`."""
    size = base.shape[-1]

    def replaced():
        source = tf.tensor_scatter_nd_update(
            tf.range(size),
            channels[:, None],
            size + tf.range(tf.size(channels)),
        )
        return tf.gather(tf.concat([base, values], axis=-1), source, axis=-1)

    # Most layers of a plan train nothing, and their kernels are large.
    full = tf.cond(tf.size(channels) > 0, replaced, lambda: base)
    return tf.ensure_shape(full, base.shape)
