"""Layers of which chosen channels and biases train, and nothing else.

A masked layer leaves the weights of the layer it stands for frozen and owns
trainable variables of just the chosen parts. `mask[c] == 1` means "channel c
is trained".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.plan import PlanLayer, UpdatePlan
from keras_tinytrain.slices import Slice, overlay, replace_weight, take


class Masked(keras.layers.Layer):
    """Trains only chosen channels and biases of one layer.

    It computes what the layer computes, with the trained parts of kernel and
    bias replaced by `kernel_slice` and `bias_slice`. Filter gradients are
    computed for these parts alone. A `BatchNormalization` that follows the
    layer is folded in, with its inference statistics.

    `keras_tinytrain.masked_layers` has the kinds.

    Args:
        layer: The built layer; its weights stay as they are.
        batch_norm: The built `BatchNormalization` that follows it, or None.

    Attributes:
        channels: Output channels whose kernel trains.
        inputs: Input channels whose kernel trains.
        biased: Output channels whose bias trains.
    """

    # Whether kernel and bias are integers.
    is_quantized = False

    def __init__(
        self,
        layer: keras.layers.Layer,
        batch_norm: keras.layers.BatchNormalization | None = None,
    ) -> None:
        super().__init__(name=layer.name)
        self.layer = layer
        self.batch_norm = batch_norm
        self.use_bias = layer.use_bias or batch_norm is not None
        self.channels = self.inputs = self.biased = np.zeros(0, np.int32)
        self.kernel_slice = self.bias_slice = None
        self.built = True

    @property
    def size(self) -> int:
        """Number of output channels."""
        return self.kernel_shape[-1]

    @property
    def input_size(self) -> int:
        """Number of input channels that every channel reads."""
        return self.kernel_shape[-2]

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Shape of the kernel, output channels last."""
        return tuple(self.layer.kernel.shape)

    @property
    def mask(self) -> np.ndarray:
        """Integers `(size,)`, 1 where the output channel is trained."""
        return _mask(self.size, self.channels)

    @property
    def input_mask(self) -> np.ndarray:
        """Integers `(input_size,)`, 1 where the input channel is trained."""
        return _mask(self.input_size, self.inputs)

    @property
    def bias_mask(self) -> np.ndarray:
        """Integers `(size,)`, 1 where the bias is trained."""
        return _mask(self.size, self.biased)

    @property
    def is_trained(self) -> bool:
        """Whether anything of the layer trains."""
        return any(map(len, (self.channels, self.inputs, self.biased)))

    @property
    def choice(self) -> dict[str, Any]:
        """What `train_channels` was last called with."""
        return {
            "channels": self.channels,
            "inputs": self.inputs,
            "bias": len(self.biased) > len(self.channels),
        }

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

    def train_channels(
        self,
        channels: Sequence[int] = (),
        *,
        inputs: Sequence[int] = (),
        bias: bool = False,
    ) -> None:
        """Makes these channels trainable, from the frozen weights.

        Without any, the layer is frozen.

        Args:
            channels: Sorted distinct indices of output channels.
            inputs: The same of input channels, instead.
            bias: Whether all biases train, not only those of `channels`.
        """
        self.channels = np.asarray(channels, np.int32)
        self.inputs = np.asarray(inputs, np.int32)
        self.biased = self.channels[: None if self.use_bias else 0]
        if bias:
            self.biased = np.arange(self.size, dtype=np.int32)
        kernel = biases = None
        if self.is_trained:
            kernel, biases = (v.numpy() for v in self.folded())
            by_input = len(self.inputs) > 0
            kernel = (
                kernel[..., self.inputs, :]
                if by_input
                else kernel[..., self.channels]
            )
            biases = biases[self.biased]
        replace_weight(self, "kernel_slice", kernel)
        replace_weight(self, "bias_slice", biases)

    def absorb(self, trained: Slice) -> None:
        """Writes what is trained into the layer itself.

        The BatchNormalization behind it becomes the identity for every
        channel of which something is trained.

        Args:
            trained: What `slices` of a masked form of an equal layer gave.
        """
        kernel, bias = (v.numpy() for v in self.replaced(trained))
        touched = np.union1d(trained.chosen, trained.biased).astype(int)
        if trained.by_input:
            touched = np.arange(self.size)
        full = self.layer.kernel.numpy().reshape(self.kernel_shape)
        full[..., touched] = kernel[..., touched]
        self.layer.kernel.assign(full.reshape(self.layer.kernel.shape))
        bias, norm = bias[touched], self.batch_norm
        if norm is not None:
            _write(norm.moving_variance, touched, 1.0 - norm.epsilon)
            _write(norm.moving_mean, touched, 0.0)
            if norm.scale:
                _write(norm.gamma, touched, 1.0)
            if norm.center:
                _write(norm.beta, touched, 0.0)
        if self.layer.use_bias:
            _write(self.layer.bias, touched, bias)
        elif norm is not None and norm.center:
            _write(norm.beta, touched, bias)
        elif norm is not None:
            _write(norm.moving_mean, touched, -bias)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes the layer with its own trained channels."""
        return self.forward(inputs, self.slices())

    def slices(self) -> Slice:
        """Returns what is trained, and where."""
        kernel, bias = self.kernel_slice, self.bias_slice
        by_input = len(self.inputs) > 0
        chosen = self.inputs if by_input else self.channels
        none = self.nothing()
        return Slice(
            tf.constant(chosen),
            none.kernel if kernel is None else kernel.value,
            tf.constant(self.biased),
            none.bias if bias is None else bias.value,
            by_input,
        )

    def nothing(self) -> Slice:
        """Returns the slice of a layer of which nothing trains."""
        kernel = tf.zeros((*self.kernel_shape[:-1], 0))
        none = tf.zeros(0, tf.int32)
        return Slice(none, kernel, none, tf.zeros(0))

    def steps(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what 1.0 means in the kernel and bias, by output channel.

        Layers that hold integers mean other real numbers by them.
        """
        return tf.ones(self.size), tf.ones(self.size)

    def slice_steps(self) -> list[np.ndarray]:
        """Returns `steps` of the trained kernel and bias, in their shapes."""
        kernel, bias = (v.numpy() for v in self.steps())
        if not len(self.inputs):
            kernel = kernel[self.channels]
        pairs = (
            (self.kernel_slice, kernel),
            (self.bias_slice, bias[self.biased]),
        )
        return [np.broadcast_to(s, v.shape) for v, s in pairs if v is not None]

    def slice_shape(self, count: Any, by_input: bool) -> tuple[Any, ...]:
        """Returns the shape of the kernel of `count` channels."""
        if by_input:
            return (*self.kernel_shape[:-2], count, self.size)
        return (*self.kernel_shape[:-1], count)

    def replaced(self, trained: Slice) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the folded kernel and bias with what is trained."""
        kernel, bias = self.folded()
        axis = -2 if trained.by_input else -1
        return (
            overlay(kernel, trained.chosen, trained.kernel, axis),
            tf.tensor_scatter_nd_update(
                bias, trained.biased[:, None], trained.bias
            ),
        )

    def forward(
        self,
        inputs: tf.Tensor,
        trained: Slice,
        gate: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Computes the layer with some of its weights replaced.

        Args:
            inputs: Input of the layer.
            trained: What is replaced, and where.
            gate: `(batch, 1, ..., size)` factors of the linear output, whose
                gradient is sum_d a_d g_d of each example and channel.

        Returns:
            The activations.
        """
        chosen, kernel, biased, bias, by_input = trained
        full, full_bias = self.replaced(trained)

        @tf.custom_gradient
        def affine(x, kernel, bias):
            # Kernel and bias are part of `full` and `full_bias` already,
            # which are kept out of the tape.
            outputs = self._linear(x, full)
            if self.use_bias:
                outputs = tf.nn.bias_add(outputs, full_bias)

            def gradient(d_outputs):
                if by_input:
                    d_kernel = self._filter_gradient(take(x, chosen), d_outputs)
                else:
                    d_kernel = self._kernel_gradient(x, d_outputs, chosen)
                return (
                    self._input_gradient(x, full, d_outputs),
                    d_kernel,
                    self._bias_gradient(d_outputs, biased),
                )

            return outputs, gradient

        outputs = affine(inputs, kernel, bias)
        if gate is not None:
            outputs *= gate
        return self.layer.activation(outputs)

    def _kernel_gradient(
        self, x: tf.Tensor, d_outputs: tf.Tensor, channels: tf.Tensor
    ) -> tf.Tensor:
        """Computes the gradient of the kernel of some output channels."""
        return tf.cond(
            2 * tf.size(channels) < self.size,
            lambda: self._filter_gradient(x, d_outputs, channels),
            # To pick most of the channels first costs more than it saves.
            lambda: take(self._filter_gradient(x, d_outputs), channels),
        )

    def _bias_gradient(
        self, d_outputs: tf.Tensor, channels: tf.Tensor
    ) -> tf.Tensor:
        """Computes the gradient of some biases."""
        axes = list(range(d_outputs.shape.rank - 1))
        return tf.cond(
            2 * tf.size(channels) < self.size,
            lambda: tf.reduce_sum(take(d_outputs, channels), axis=axes),
            lambda: take(tf.reduce_sum(d_outputs, axis=axes), channels),
        )

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
    choices = {c.name: c for c in plan.layers}
    for name, choice in choices.items():
        _check_choice(choice, layers[name])
    for name, layer in layers.items():
        if name in choices:
            choice = choices[name]
            layer.train_channels(
                choice.channels, inputs=choice.inputs, bias=choice.bias
            )
        else:
            layer.train_channels()
    model.plan, model.first_candidate = plan, None
    model.plans_applied += 1


def _check_choice(choice: PlanLayer, layer: Masked) -> None:
    """Refuses what the fingerprint of a network does not know."""
    if choice.inputs and choice.input_size != layer.input_size:
        own = f"{layer.input_size} inputs"
        if not layer.input_size:
            own = "no inputs that all channels read: train channels of it"
        raise ValueError(
            f"Expected a plan for layer {choice.name!r} "
            f"({type(layer.layer).__name__}) with {own}. Received: "
            f"input_size={choice.input_size}"
        )
    if choice.bias and not layer.use_bias:
        raise ValueError(
            f"Expected layer {choice.name!r} to have biases, which the plan "
            "trains. Received: a layer with use_bias=False and no "
            "BatchNormalization behind it"
        )


def _mask(size: int, channels: np.ndarray) -> np.ndarray:
    mask = np.zeros(size, np.int32)
    mask[channels] = 1
    return mask


def _write(variable: keras.Variable, channels, values) -> None:
    """Assigns some entries of a vector."""
    full = variable.numpy()
    full[channels] = values
    variable.assign(full)
