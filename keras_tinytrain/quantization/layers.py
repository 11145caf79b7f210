"""Keras layers of an int8 graph that have no weights.

Between them and the layers of `weighted_layers`, tensors are float32 and hold
what a device stores less its zero point: integers from -255 to 255 of which 0
means 0.0, so that padding with zeros is right.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_tinytrain.quantization.fixed_point import addition_table
from keras_tinytrain.quantization.requantization import (
    round_half_away,
    straight_through,
)
from keras_tinytrain.quantization.scales import Quantization

PACKAGE = "keras_tinytrain"
serializable = keras.saving.register_keras_serializable(PACKAGE)


class Quantized(keras.layers.Layer):
    """What all layers here share: how their output is stored.

    Args:
        quantization: Quantization of the output, or its scale and zero point.
    """

    def __init__(self, quantization: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantization = as_quantization(quantization)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        own = {"quantization": self.quantization.to_config()}
        return super().get_config() | own


@serializable
class Quantize(Quantized):
    """Stores real values: rounds halves away from zero, and saturates."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns integers."""
        to = self.quantization
        real = inputs / to.scale
        return straight_through(real, self.rounded(inputs), to.low, to.high)

    def rounded(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns integers before anything is cut off."""
        return round_half_away(inputs / self.quantization.scale)


@serializable
class Dequantize(Quantized):
    """Returns the real values again; `quantization` is that of the input."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns real values."""
        return inputs * self.quantization.scale


@serializable
class Int8Clamp(Quantized):
    """A ReLU or ReLU6 that no layer before it could take over.

    Args:
        quantization: Of input and output.
        activation: `"relu"` or `"relu6"`.
    """

    def __init__(
        self, quantization: Any, *, activation: str, **kwargs: Any
    ) -> None:
        super().__init__(quantization, **kwargs)
        self.activation = activation

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Cuts off."""
        low, high = self.quantization.bounds(self.activation)
        return tf.clip_by_value(inputs, float(low), float(high))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        return super().get_config() | {"activation": self.activation}


@serializable
class Int8Add(Quantized):
    """The sum of two tensors, each with a scale of its own.

    A table holds the sums of all 256 * 256 pairs of stored numbers.

    Args:
        quantization: Of the sum.
        summands: Quantizations of the two inputs.
        activation: `"none"`, `"relu"` or `"relu6"`.
    """

    def __init__(
        self,
        quantization: Any,
        *,
        summands: Any,
        activation: str = "none",
        **kwargs: Any,
    ) -> None:
        super().__init__(quantization, **kwargs)
        self.summands = [as_quantization(s) for s in summands]
        self.activation = activation
        pairs = [s.to_config() for s in (*self.summands, self.quantization)]
        self.table = addition_table(*pairs).ravel()

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Adds."""
        first, second = self.summands
        index = (inputs[0] - first.low) * 256.0 + (inputs[1] - second.low)
        sums = tf.gather(tf.constant(self.table), tf.cast(index, tf.int32))
        real = inputs[0] * (first.scale / self.quantization.scale)
        real += inputs[1] * (second.scale / self.quantization.scale)
        low, high = self.quantization.bounds(self.activation)
        return straight_through(real, tf.cast(sums, tf.float32), low, high)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        summands = [s.to_config() for s in self.summands]
        own = {"summands": summands, "activation": self.activation}
        return super().get_config() | own


class _Average(Quantized):
    """The mean of stored numbers, rounded; input and output share a scale."""

    def _rounded(
        self, means: tf.Tensor, sums: tf.Tensor, counts: tf.Tensor | float
    ) -> tf.Tensor:
        """Divides sums of stored numbers, zero points included, as C does."""
        to = self.quantization
        stored = round_half_away(tf.cast(sums, tf.float64) / counts)
        return straight_through(means, stored - to.zero_point, to.low, to.high)


@serializable
class Int8GlobalAveragePooling2D(_Average):
    """Averages a map: AVERAGE_POOL_2D with a window of the whole of it."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Averages."""
        _, height, width, _ = inputs.shape
        stored = inputs + float(self.quantization.zero_point)
        sums = tf.reduce_sum(stored, axis=[1, 2])
        means = tf.reduce_mean(inputs, axis=[1, 2])
        return self._rounded(means, sums, float(height * width))


@serializable
class Int8AveragePooling2D(_Average):
    """Averages windows; what lies outside the map does not count.

    Args:
        quantization: Of input and output.
        pool_size: Height and width of the window.
        strides: Its steps down and across.
        padding: `"valid"` or `"same"`.
    """

    def __init__(
        self,
        quantization: Any,
        *,
        pool_size: tuple[int, int],
        strides: tuple[int, int],
        padding: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(quantization, **kwargs)
        self.pool_size = tuple(pool_size)
        self.strides = tuple(strides)
        self.padding = padding

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Averages."""
        window = self.pool_size, self.strides, self.padding.upper()
        stored = inputs + float(self.quantization.zero_point)
        ones = tf.ones((1, *inputs.shape[1:3], 1))
        kernel = tf.ones((*self.pool_size, 1, 1))
        counts = tf.nn.conv2d(ones, kernel, *window[1:])
        # Small integers, which a rounded mean times the count comes close to.
        sums = tf.round(tf.nn.avg_pool2d(stored, *window) * counts)
        means = tf.nn.avg_pool2d(inputs, *window)
        return self._rounded(means, sums, tf.cast(counts, tf.float64))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        return super().get_config() | {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


def as_quantization(value: Any) -> Quantization:
    """Returns a `Quantization`, also of a scale and a zero point."""
    if isinstance(value, Quantization):
        return value
    return Quantization(*value)
