"""Keras layers of an int8 graph that have weights.

See `keras_tinytrain.quantization.layers` for what passes between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain.quantization.layers import (
    Quantized,
    as_quantization,
    serializable,
)
from keras_tinytrain.quantization.requantization import Requantization
from keras_tinytrain.quantization.scales import (
    bias_limit,
    check_scales,
    largest_product,
    needs_float64,
)

ACTIVATIONS = {
    "none": keras.activations.linear,
    "relu": keras.activations.relu,
    "relu6": keras.activations.relu6,
}


class Int8Layer(Quantized):
    """Integer weights, and accumulators brought to the scale of the output.

    Args:
        quantization: Of the output.
        source: Quantization of the input.
        kernel_scale: Real value of one step of the weights of each output
            channel. The bias has `kernel_scale * source.scale`.
        activation: `"none"`, `"relu"` or `"relu6"`.

    Attributes:
        kernel: int8, as the Keras layer has it.
        bias: int32 `(channels,)`.
        terms: Products that one output sums up.
        bias_limit: Largest magnitude of a bias.

    Raises:
        ValueError: If the arithmetic would not be exact; or when built, if
            accumulators could overflow.
    """

    use_bias = True

    def __init__(
        self,
        quantization: Any,
        *,
        source: Any,
        kernel_scale: Sequence[float],
        activation: str = "none",
        **kwargs: Any,
    ) -> None:
        super().__init__(quantization, **kwargs)
        self.source = as_quantization(source)
        self.kernel_scale = np.array(kernel_scale, np.float32)
        self.activation = ACTIVATIONS[activation]
        self.activation_name = activation
        try:
            check_scales(self.kernel_scale)
            self.requantization = Requantization(
                self.source, self.kernel_scale, self.quantization, activation
            )
        except ValueError as error:
            raise ValueError(f"Layer {self.name!r}: {error}") from error

    def kernel_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """Returns the shape of the kernel for an input."""
        raise NotImplementedError

    def linear(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Computes the sums of products, in the type of both arguments."""
        raise NotImplementedError

    def build(self, input_shape: Sequence[int]) -> None:
        """Makes the weights."""
        shape = self.kernel_shape(input_shape)
        size = len(self.kernel_scale)
        self.terms = math.prod(shape) // size
        self.bias_limit = bias_limit(self.terms, self.source)
        largest = largest_product(self.terms, self.source) + self.bias_limit
        # A factor above 1 shifts accumulators to the left before all else.
        if largest << self.requantization.left_shift >= 2**31:
            raise ValueError(
                "Expected accumulators that fit into 32 bits. Received: layer "
                f"{self.name!r}, whose {self.terms:,} products in int8 reach "
                f"{largest:,}. Split it, or pool in front of it."
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=shape,
            dtype="int8",
            initializer="zeros",
            trainable=False,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(size,),
            dtype="int32",
            initializer="zeros",
            trainable=False,
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes what a device does."""
        kernel = tf.cast(self.kernel.value, tf.float32)
        bias = tf.cast(self.bias.value, tf.float32)
        accumulators = self.accumulate(inputs, kernel, bias)
        requantization = self.requantization
        return requantization.saturated(requantization.rounded(accumulators))

    def accumulate(
        self, x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
    ) -> tf.Tensor:
        """Returns the accumulators, exact whatever the order of the sums.

        Args:
            x: float32 integers.
            kernel: The same, of the shape of `kernel`.
            bias: The same, none above `bias_limit`.

        Returns:
            Integers in float32, or in float64 if there are many terms.
        """
        if needs_float64(self.terms, self.source):
            x, kernel, bias = (
                tf.cast(value, tf.float64) for value in (x, kernel, bias)
            )
        return tf.nn.bias_add(self.linear(x, kernel), bias)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        return super().get_config() | {
            "source": self.source.to_config(),
            "kernel_scale": self.kernel_scale.tolist(),
            "activation": self.activation_name,
        }


@serializable
class Int8Dense(Int8Layer):
    """A `Dense` layer in int8."""

    def kernel_shape(self, input_shape):  # noqa: D102
        return input_shape[-1], len(self.kernel_scale)

    def linear(self, x, kernel):  # noqa: D102
        return tf.matmul(x, kernel)


class _Int8Convolution(Int8Layer):
    """What convolutions share.

    Args:
        quantization: See `Int8Layer`.
        kernel_size: Height and width of the window.
        strides: Its steps down and across.
        padding: `"valid"` or `"same"`.
        **kwargs: See `Int8Layer`.
    """

    def __init__(
        self,
        quantization: Any,
        *,
        kernel_size: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        padding: str = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(quantization, **kwargs)
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)
        self.padding = padding

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
        }


@serializable
class Int8Conv2D(_Int8Convolution):
    """A `Conv2D` layer in int8."""

    def kernel_shape(self, input_shape):  # noqa: D102
        return *self.kernel_size, input_shape[-1], len(self.kernel_scale)

    def linear(self, x, kernel):  # noqa: D102
        return tf.nn.conv2d(x, kernel, self.strides, self.padding.upper())


@serializable
class Int8DepthwiseConv2D(_Int8Convolution):
    """A `DepthwiseConv2D` layer in int8."""

    depth_multiplier = 1

    def kernel_shape(self, input_shape):  # noqa: D102
        return *self.kernel_size, input_shape[-1], 1

    def linear(self, x, kernel):  # noqa: D102
        strides = (1, *self.strides, 1)
        return tf.nn.depthwise_conv2d(x, kernel, strides, self.padding.upper())
