"""The kinds of masked layers: Conv2D, DepthwiseConv2D and Dense."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_tinytrain.masking import Masked
from keras_tinytrain.slices import take


class MaskedDense(Masked):
    """`Masked` for a `Dense` layer."""

    def _linear(self, x, kernel):
        return tf.matmul(x, kernel)

    def _input_gradient(self, x, kernel, d_outputs):
        return tf.matmul(d_outputs, kernel, transpose_b=True)

    def _filter_gradient(self, x, d_outputs, channels=None):
        return _outer(x, take(d_outputs, channels))


class MaskedConv2D(Masked):
    """`Masked` for a `Conv2D` layer."""

    def _geometry(self):
        height, width = self.layer.strides
        return (1, height, width, 1), self.layer.padding.upper()

    def _linear(self, x, kernel):
        return tf.nn.conv2d(x, kernel, *self._geometry())

    def _input_gradient(self, x, kernel, d_outputs):
        return tf.compat.v1.nn.conv2d_backprop_input(
            tf.shape(x), kernel, d_outputs, *self._geometry()
        )

    def _filter_gradient(self, x, d_outputs, channels=None):
        d_outputs = take(d_outputs, channels)
        window = self.kernel_shape[:2]
        if window == (1, 1) and self.layer.strides == (1, 1):
            return _outer(x, d_outputs)[None, None]
        shape = tf.stack([*window, _channels(x), _channels(d_outputs)])
        return tf.compat.v1.nn.conv2d_backprop_filter(
            x, shape, d_outputs, *self._geometry()
        )


class MaskedDepthwiseConv2D(Masked):
    """`Masked` for a `DepthwiseConv2D` layer."""

    @property
    def kernel_shape(self):  # noqa: D102
        *window, channels, multiplier = self.layer.kernel.shape
        return (*window, channels * multiplier)

    @property
    def input_size(self):  # noqa: D102
        return 0  # No channel reads the input of another one.

    def _geometry(self):
        height, width = self.layer.strides
        return (1, height, width, 1), self.layer.padding.upper()

    def _split(self, kernel):
        return tf.reshape(kernel, self.layer.kernel.shape)

    def _linear(self, x, kernel):
        return tf.nn.depthwise_conv2d(x, self._split(kernel), *self._geometry())

    def _input_gradient(self, x, kernel, d_outputs):
        return tf.nn.depthwise_conv2d_backprop_input(
            tf.shape(x), self._split(kernel), d_outputs, *self._geometry()
        )

    def train_channels(self, channels=(), *, inputs=(), bias=False):  # noqa: D102
        if len(inputs):
            raise ValueError(
                f"Expected output channels of layer {self.name!r} "
                "(DepthwiseConv2D), each of which reads one input. Received: "
                f"inputs={inputs}. Train the channels that read them."
            )
        super().train_channels(channels, bias=bias)

    def _filter_gradient(self, x, d_outputs, channels=None):
        multiplier = self.layer.depth_multiplier
        if channels is None and multiplier > 1:
            channels = tf.range(self.size)
        if channels is not None:
            # Output channel c reads input channel c // multiplier.
            x = take(x, channels // multiplier)
            d_outputs = take(d_outputs, channels)
        shape = (*self.kernel_shape[:-1], tf.shape(d_outputs)[-1])
        gradient = tf.nn.depthwise_conv2d_backprop_filter(
            x, tf.stack([*shape, 1]), d_outputs, *self._geometry()
        )
        return tf.reshape(gradient, tf.stack(shape))


_MASKED = {
    keras.layers.Conv2D: MaskedConv2D,
    keras.layers.DepthwiseConv2D: MaskedDepthwiseConv2D,
    keras.layers.Dense: MaskedDense,
}


def register_masked(kind: type, form: type[Masked]) -> None:
    """Enters the masked form of a kind of layer that is not Keras' own."""
    _MASKED[kind] = form


def maskable(name: str, layer: keras.Operation) -> bool:
    """Tells whether a layer has a masked form.

    Args:
        name: Its path in the model, for the message.
        layer: Any Keras layer or operation.

    Raises:
        ValueError: If it is of the right kind but set up in a way that no
            device kernel knows.
    """
    if type(layer) not in _MASKED:
        return False
    for setting, expected in (
        ("data_format", "channels_last"),
        ("groups", 1),
        ("dilation_rate", (1, 1)),
        ("compute_dtype", "float32"),
    ):
        received = getattr(layer, setting, expected)
        if received != expected:
            raise ValueError(
                f"Expected {setting}={expected!r}. Received: layer {name!r} "
                f"({type(layer).__name__}) with {setting}={received!r}. "
                "Rebuild the model with that setting, or train a backbone "
                "without this layer."
            )
    return True


def masked(
    layer: keras.layers.Layer,
    batch_norm: keras.layers.BatchNormalization | None = None,
) -> Masked:
    """Returns the masked form of a `maskable` layer."""
    return _MASKED[type(layer)](layer, batch_norm)


def _channels(x: tf.Tensor) -> int | tf.Tensor:
    """Returns the size of the last axis, of which some may be picked."""
    return tf.shape(x)[-1] if x.shape[-1] is None else x.shape[-1]


def _outer(x: tf.Tensor, d_outputs: tf.Tensor) -> tf.Tensor:
    """Sums the outer products over every axis but the last."""
    x = tf.reshape(x, (-1, _channels(x)))
    d_outputs = tf.reshape(d_outputs, (-1, _channels(d_outputs)))
    return tf.matmul(x, d_outputs, transpose_a=True)
