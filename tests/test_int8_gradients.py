"""Gradients of int8 layers, against TensorFlow's of the real ones."""

import numpy as np
import pytest
import tensorflow as tf
from int8_layers import UNIT, dense

from keras_tinytrain.masked_layers import masked
from keras_tinytrain.quantization.layers import (
    Int8Add,
    Int8AveragePooling2D,
    Int8GlobalAveragePooling2D,
    Quantize,
)
from keras_tinytrain.quantization.scales import Quantization
from keras_tinytrain.quantization.weighted_layers import (
    Int8Conv2D,
    Int8DepthwiseConv2D,
)


def convolution(kind, channels, **options):
    """A convolution of random integers over maps of 6 channels, built."""
    layer = kind(
        UNIT,
        source=Quantization(0.5, -3),
        kernel_scale=np.linspace(0.01, 0.03, channels),
        kernel_size=(3, 3),
        activation="relu",
        name="conv",
        **options,
    )
    layer.build((None, 7, 6, 6))
    rng = np.random.default_rng(0)
    layer.kernel.assign(rng.integers(-120, 121, layer.kernel.shape))
    layer.bias.assign(rng.integers(-2000, 9000, channels))
    return layer, (2, 7, 6, 6)


LAYERS = {
    "dense": lambda: (dense(20, 5), (6, 20)),
    "conv": lambda: convolution(Int8Conv2D, 5, strides=(2, 1), padding="same"),
    "depthwise": lambda: convolution(
        Int8DepthwiseConv2D, 6, strides=(2, 2), padding="same"
    ),
}
CHOICES = [
    {"channels": [0, 3]},
    {"inputs": [1, 4, 5]},
    {"channels": [0, 1, 2, 3, 4], "bias": True},
    {"inputs": [2], "bias": True},
    {"bias": True},
]


def forward_gradients(form, x, d_outputs):
    """Gradients of x, kernel, bias and gate, off the integers."""
    trained = form.slices()
    gate = tf.ones((len(x), *[1] * (len(x.shape) - 2), form.size))
    # Rounding to the same integers must not matter.
    kernel, bias = trained.kernel + 0.3, trained.bias - 0.2
    with tf.GradientTape() as tape:
        tape.watch((x, kernel, bias, gate))
        moved = trained._replace(kernel=kernel, bias=bias)
        outputs = form.forward(x, moved, gate)
        loss = tf.reduce_sum(outputs * d_outputs)
    return outputs, tape.gradient(loss, (x, kernel, bias, gate))


def real_gradients(layer, x, d_outputs, gate_shape):
    """The same of the layer without rounding, whole, where not cut off."""
    requantization = layer.requantization
    kernel = tf.cast(layer.kernel.value, tf.float32)
    bias = tf.cast(layer.bias.value, tf.float32)
    gate = tf.ones(gate_shape)
    sums = layer.accumulate(x, kernel, bias)
    inside = requantization.inside(requantization.rounded(sums))
    with tf.GradientTape() as tape:
        tape.watch((x, kernel, bias, gate))
        sums = layer.linear(x, kernel) + bias
        real = sums * gate * requantization.factor.astype(np.float32)
        loss = tf.reduce_sum(tf.where(inside, real * d_outputs, 0.0))
    return inside, tape.gradient(loss, (x, kernel, bias, gate))


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        (name, choice)
        for name in LAYERS
        for choice in CHOICES
        # No channel of a depthwise layer reads the input of another one.
        if name != "depthwise" or "inputs" not in choice
    ],
)
def test_gradients_equal_those_of_the_real_layer(name, choice):
    layer, shape = LAYERS[name]()
    rng = np.random.default_rng(2)
    x = tf.constant(rng.integers(-100, 101, shape), tf.float32)
    form = masked(layer)
    form.train_channels(**choice)
    outputs = layer(x)
    d_outputs = tf.constant(rng.normal(size=outputs.shape), tf.float32)
    found, actual = forward_gradients(form, x, d_outputs)
    np.testing.assert_array_equal(found, outputs)
    inside, expected = real_gradients(layer, x, d_outputs, actual[3].shape)
    assert 0.1 < np.mean(inside) < 0.9
    d_x, d_kernel, d_bias, d_gate = (v.numpy() for v in expected)
    d_kernel = d_kernel.reshape(form.kernel_shape)
    if "inputs" in choice:
        d_kernel = d_kernel[..., choice["inputs"], :]
    else:
        d_kernel = d_kernel[..., choice.get("channels", [])]
    if "bias" not in choice:
        d_bias = d_bias[choice.get("channels", [])]
    for got, want in zip(actual, (d_x, d_kernel, d_bias, d_gate)):
        error = 1e-5 * np.abs(want).max(initial=1.0)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=error)


def test_nothing_passes_where_all_is_cut_off():
    layer = dense(20, 5)
    layer.bias.assign(np.full(5, 10**6))
    form = masked(layer)
    form.train_channels([1, 2])
    _, found = forward_gradients(form, tf.ones((3, 20)), tf.ones((3, 5)))
    for gradient in found:
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))


def test_weights_at_the_end_of_their_range_only_come_back():
    form = masked(dense(1, 2, kernel_scale=[2.0**-7] * 2))
    form.train_channels([0, 1])
    trained = form.slices()
    kernel = tf.constant([[130.0, -130.0]])
    for sign in (1.0, -1.0):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            outputs = form.forward(
                tf.ones((1, 1)), trained._replace(kernel=kernel)
            )
            loss = sign * tf.reduce_sum(outputs)
        found = tape.gradient(loss, kernel)[0]
        # A step goes against the gradient.
        kept, cut = (found[0], found[1]) if sign > 0 else found[::-1]
        assert kept == sign * np.float32(2.0**-7)
        assert cut == 0.0
    np.testing.assert_array_equal(
        form.replaced(trained._replace(kernel=kernel))[0], [[127.0, -127.0]]
    )


def test_a_sum_passes_its_gradient_on_where_it_is_held():
    layer = Int8Add(
        Quantization(0.5, 100), summands=[(0.25, 0), (1.0, 0)], name="add"
    )
    first = tf.constant([[4.0, 8.0, -8.0]])
    # 4 * 0.25 + 6 = 7 is 14 steps; 27 is the last one above the zero point.
    second = tf.constant([[6.0, 12.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch((first, second))
        outputs = layer([first, second])
    np.testing.assert_array_equal(outputs, [[14.0, 27.0, -2.0]])
    found = tape.gradient(outputs, (first, second))
    np.testing.assert_array_equal(found[0], [[0.5, 0.0, 0.5]])
    np.testing.assert_array_equal(found[1], [[2.0, 0.0, 2.0]])


def test_means_pass_their_gradient_to_all():
    x = tf.reshape(tf.range(16.0), (1, 4, 4, 1))
    for layer in (
        Int8GlobalAveragePooling2D(UNIT),
        Int8AveragePooling2D(
            UNIT, pool_size=(2, 2), strides=(2, 2), padding="valid"
        ),
    ):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
        size = 16 // outputs.numpy().size
        gradient = tape.gradient(outputs, x)
        np.testing.assert_allclose(gradient, np.full(x.shape, 1 / size))
    # Halves away from zero, of the stored numbers.
    np.testing.assert_array_equal(outputs[0, :, :, 0], [[3, 5], [11, 13]])
    shifted = Int8AveragePooling2D(
        Quantization(1.0, -10), pool_size=(2, 2), strides=(2, 2), padding="same"
    )
    np.testing.assert_array_equal(shifted(x)[0, :, :, 0], [[2, 4], [11, 13]])


def test_what_is_stored_of_an_image():
    layer = Quantize(Quantization(0.5, 100))
    x = tf.constant([0.25, -0.25, 0.24, 20.0, -200.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x)
    np.testing.assert_array_equal(outputs, [1, -1, 0, 27, -228])
    np.testing.assert_array_equal(tape.gradient(outputs, x), [2, 2, 2, 0, 0])
