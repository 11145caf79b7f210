"""Masked forms of the int8 layers: chosen integers train as float copies."""

from __future__ import annotations

import tensorflow as tf

from keras_tinytrain.masked_layers import (
    MaskedConv2D,
    MaskedDense,
    MaskedDepthwiseConv2D,
    register_masked,
)
from keras_tinytrain.masking import Masked
from keras_tinytrain.quantization.scales import LARGEST_WEIGHT
from keras_tinytrain.quantization.weighted_layers import (
    Int8Conv2D,
    Int8Dense,
    Int8DepthwiseConv2D,
)
from keras_tinytrain.slices import Slice, take


class MaskedInt8(Masked):
    """`Masked` for an int8 layer.

    The trained parts are float32 numbers in steps of the integers. The
    forward pass rounds and saturates them; their gradient is that of the
    rounded ones, but zero where it would push a number further out. The
    gradient of the accumulators is that of the output times the factor
    between the two, zero where the output saturates.

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472), section 2.1.
    """

    is_quantized = True

    def folded(self):  # noqa: D102
        kernel = tf.cast(self.layer.kernel.value, tf.float32)
        bias = tf.cast(self.layer.bias.value, tf.float32)
        return tf.reshape(kernel, self.kernel_shape), bias

    def replaced(self, trained):  # noqa: D102
        limit = float(self.layer.bias_limit)
        return super().replaced(
            trained._replace(
                kernel=_stored(trained.kernel, LARGEST_WEIGHT),
                bias=_stored(trained.bias, limit),
            )
        )

    def steps(self):  # noqa: D102
        scale = tf.constant(self.layer.kernel_scale)
        return scale, scale * self.layer.source.scale

    def forward(  # noqa: D102
        self,
        inputs: tf.Tensor,
        trained: Slice,
        gate: tf.Tensor | None = None,
    ) -> tf.Tensor:
        chosen, kernel, biased, bias, by_input = trained
        full, full_bias = self.replaced(trained)
        layer, requantization = self.layer, self.layer.requantization
        factor = tf.constant(requantization.factor, tf.float32)
        axes = list(range(1, len(inputs.shape) - 1))

        @tf.custom_gradient
        def affine(x, kernel, bias, gate):
            weights = tf.reshape(full, layer.kernel.shape)
            accumulators = layer.accumulate(x, weights, full_bias)
            rounded = requantization.rounded(accumulators)

            def gradient(d_outputs):
                inside = requantization.inside(rounded)
                d_real = tf.where(inside, d_outputs, 0.0)
                d_sums = d_real * factor
                if by_input:
                    d_kernel = self._filter_gradient(take(x, chosen), d_sums)
                else:
                    d_kernel = self._kernel_gradient(x, d_sums, chosen)
                d_bias = self._bias_gradient(d_sums, biased)
                sums = tf.cast(accumulators, tf.float32)
                return (
                    self._input_gradient(x, full, d_sums),
                    _kept(kernel, d_kernel, LARGEST_WEIGHT),
                    _kept(bias, d_bias, layer.bias_limit),
                    tf.reduce_sum(d_sums * sums, axes, keepdims=True),
                )

            return requantization.saturated(rounded), gradient

        # A gate is one: it is there for its gradient.
        return affine(inputs, kernel, bias, 1.0 if gate is None else gate)


class MaskedInt8Dense(MaskedInt8, MaskedDense):
    """`MaskedInt8` for an `Int8Dense` layer."""


class MaskedInt8Conv2D(MaskedInt8, MaskedConv2D):
    """`MaskedInt8` for an `Int8Conv2D` layer."""


class MaskedInt8DepthwiseConv2D(MaskedInt8, MaskedDepthwiseConv2D):
    """`MaskedInt8` for an `Int8DepthwiseConv2D` layer."""


register_masked(Int8Dense, MaskedInt8Dense)
register_masked(Int8Conv2D, MaskedInt8Conv2D)
register_masked(Int8DepthwiseConv2D, MaskedInt8DepthwiseConv2D)


def _stored(values: tf.Tensor, largest: float) -> tf.Tensor:
    """Rounds and saturates."""
    return tf.clip_by_value(tf.round(values), -largest, largest)


def _kept(values: tf.Tensor, gradient: tf.Tensor, largest: float) -> tf.Tensor:
    """Zeroes the gradient where descent would leave the range."""
    outwards = tf.sign(values) * gradient < 0
    return tf.where((tf.abs(values) >= largest) & outwards, 0.0, gradient)
