import itertools

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_tinytrain.masked_layers import maskable, masked
from keras_tinytrain.slices import Slice

# Sums of at most a few hundred products of numbers near 1, added in another
# order by the sliced kernels: a few units of the sixth decimal.
TOLERANCE = {"rtol": 1e-5, "atol": 2e-5}

STRIDES, KERNELS, PADDINGS = (1, 2), (1, 3, 5), ("same", "valid")
GEOMETRIES = list(itertools.product(KERNELS, STRIDES, PADDINGS))
CHOICES = {
    "empty": [],
    "one": [2],
    "some": [0, 3, 4],
    "full": [0, 1, 2, 3, 4, 5],
}
# Those of the first size, of input channels.
INPUTS = {"empty": [], "one": [2], "some": [0, 2, 3], "full": [0, 1, 2, 3]}


def random(shape, seed):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=shape), tf.float32)


def built(layer, shape):
    layer.build((None, *shape[1:]))
    for i, weight in enumerate(layer.weights):
        weight.assign(random(weight.shape, i))
    return layer


def check_gradients(layer, x, chosen, run_plain, *, by_input=False, biased=()):
    """Compares `Masked.forward` with the plain op, values and gradients.

    `biased` are the channels whose bias trains; those of `chosen` for None.
    """
    mask = masked(layer)
    kernel, bias = (v.numpy() for v in mask.folded())
    chosen = np.array(chosen, np.int32)
    biased = np.array(chosen if biased is None else biased, np.int32)
    new_kernel = random(mask.slice_shape(len(chosen), by_input), 10)
    new_bias = random(len(biased), 11)
    part = (..., chosen, slice(None)) if by_input else (..., chosen)
    kernel[part], bias[biased] = new_kernel, new_bias

    with tf.GradientTape() as tape:
        full_kernel, full_bias = tf.constant(kernel), tf.constant(bias)
        tape.watch((x, full_kernel, full_bias))
        expected = run_plain(x, full_kernel) + full_bias
        expected = layer.activation(expected)
        weights = random(expected.shape, 12)
        loss = tf.reduce_sum(expected * weights)
    d_x, d_kernel, d_bias = tape.gradient(loss, (x, full_kernel, full_bias))

    with tf.GradientTape() as tape:
        tape.watch((x, new_kernel, new_bias))
        trained = tf.constant(chosen), new_kernel, tf.constant(biased), new_bias
        outputs = mask.forward(x, Slice(*trained, by_input))
        loss = tf.reduce_sum(outputs * weights)
    actual = tape.gradient(loss, (x, new_kernel, new_bias))

    np.testing.assert_allclose(outputs, expected, **TOLERANCE)
    wanted = d_x, d_kernel.numpy()[part], d_bias.numpy()[biased]
    for got, want in zip(actual, wanted):
        assert got.shape == want.shape
        # Relative to the largest entry, since others may cancel out.
        scale = np.abs(want).max() if np.size(want) else 1.0
        np.testing.assert_allclose(got / scale, want / scale, **TOLERANCE)


# The biases of the trained channels, some others, none, or all.
BIASES = {"own": None, "others": [1, 5], "none": [], "all": range(6)}
every_choice = pytest.mark.parametrize(
    "channels", CHOICES.values(), ids=CHOICES.keys()
)
every_input = pytest.mark.parametrize(
    "inputs", INPUTS.values(), ids=INPUTS.keys()
)
every_bias = pytest.mark.parametrize(
    "biased", BIASES.values(), ids=BIASES.keys()
)


def conv_cases(channels, **options):
    """Layers of all geometries, with what they read and the plain op."""
    for kernel, stride, padding in GEOMETRIES:
        x = random((2, 7, 9, channels), 1)
        layer = layers.Conv2D(6, kernel, stride, padding, **options)
        yield (
            built(layer, x.shape),
            x,
            lambda x, w, s=stride, p=padding: tf.nn.conv2d(x, w, s, p.upper()),
        )


@every_bias
@every_choice
@pytest.mark.parametrize("activation", [None, "relu"])
def test_conv_gradients(channels, activation, biased):
    for layer, x, plain in conv_cases(3, activation=activation):
        check_gradients(layer, x, channels, plain, biased=biased)


@pytest.mark.parametrize("biased", [[], [1, 5], range(6)])
@every_input
def test_conv_gradients_of_inputs(inputs, biased):
    for layer, x, plain in conv_cases(4, activation="relu"):
        options = {"by_input": True, "biased": biased}
        check_gradients(layer, x, inputs, plain, **options)


@every_bias
@every_choice
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_gradients(channels, multiplier, biased):
    for kernel, stride, padding in GEOMETRIES:
        x = random((2, 9, 7, 6 // multiplier), 1)
        layer = layers.DepthwiseConv2D(
            kernel, stride, padding, depth_multiplier=multiplier
        )
        check_gradients(
            built(layer, x.shape),
            x,
            channels,
            lambda x, w, k=kernel, s=stride, p=padding: tf.nn.depthwise_conv2d(
                x,
                tf.reshape(w, (k, k, -1, multiplier)),
                (1, s, s, 1),
                p.upper(),
            ),
            biased=biased,
        )


DENSE_SHAPES = [(5, 4), (2, 3, 4), (2, 3, 5, 4)]


def dense_case(shape):
    layer = built(layers.Dense(6, activation="relu"), shape)
    return layer, random(shape, 1), lambda x, w: tf.tensordot(x, w, 1)


@every_bias
@every_choice
@pytest.mark.parametrize("shape", DENSE_SHAPES)
def test_dense_gradients(channels, shape, biased):
    layer, x, plain = dense_case(shape)
    check_gradients(layer, x, channels, plain, biased=biased)


@pytest.mark.parametrize("biased", [[], [1, 5], range(6)])
@every_input
@pytest.mark.parametrize("shape", DENSE_SHAPES)
def test_dense_gradients_of_inputs(inputs, shape, biased):
    layer, x, plain = dense_case(shape)
    options = {"by_input": True, "biased": biased}
    check_gradients(layer, x, inputs, plain, **options)


def test_the_gradient_of_inputs_sees_only_those():
    """No filter gradient of more channels than train is ever computed."""
    seen = []
    for layer, x, _ in conv_cases(4):
        mask = masked(layer)
        gradient = mask._filter_gradient
        mask._filter_gradient = lambda x, d, g=gradient: (
            seen.append(x.shape[-1]) or g(x, d)
        )
        mask.train_channels(inputs=[1, 3], bias=True)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(mask(x))
        slices = mask.kernel_slice.value, mask.bias_slice.value
        kernel, bias = tape.gradient(loss, slices)
        assert kernel.shape == (*mask.kernel_shape[:2], 2, 6)
        assert bias.shape == (6,)
    assert seen == [2] * len(GEOMETRIES)


def test_gradients_by_hand():
    """The kernel gradient of a 1x1 convolution is the sum of x g."""
    layer = layers.Conv2D(2, 1)
    layer.build((None, 1, 2, 1))
    x = tf.constant([[[[3.0], [5.0]]]])
    kernel, bias = tf.constant([[[[7.0]]]]), tf.constant([1.0])
    with tf.GradientTape() as tape:
        tape.watch((x, kernel, bias))
        one = tf.constant([1])
        y = masked(layer).forward(x, Slice(one, kernel, one, bias))
        loss = 2.0 * y[0, 0, 0, 1] + y[0, 0, 1, 1]
    assert y[0, 0, :, 1].numpy().tolist() == [22.0, 36.0]
    d_x, d_kernel, d_bias = tape.gradient(loss, (x, kernel, bias))
    assert d_x.numpy().ravel().tolist() == [14.0, 7.0]
    assert d_kernel.numpy().item() == 2.0 * 3.0 + 5.0
    assert d_bias.numpy().item() == 3.0


def test_gradients_of_inputs_by_hand():
    """The kernel gradient of the second input is its x times each g."""
    layer = layers.Conv2D(2, 1)
    layer.build((None, 1, 2, 2))
    layer.set_weights([np.array([[[[1, 2], [3, 4]]]]), np.zeros(2)])
    x = tf.constant([[[[3.0, 5.0], [7.0, 11.0]]]])
    kernel, bias = tf.constant([[[[6.0, 8.0]]]]), tf.constant([0.5])
    with tf.GradientTape() as tape:
        tape.watch((kernel, bias))
        trained = Slice(tf.constant([1]), kernel, tf.constant([0]), bias, True)
        y = masked(layer).forward(x, trained)
        loss = 2.0 * y[0, 0, 0, 0] + 10.0 * y[0, 0, 1, 1]
    # 3 * 1 + 5 * 6 + 0.5, and so on.
    assert y.numpy().ravel().tolist() == [33.5, 46.0, 73.5, 102.0]
    d_kernel, d_bias = tape.gradient(loss, (kernel, bias))
    assert d_kernel.numpy().ravel().tolist() == [2.0 * 5.0, 10.0 * 11.0]
    assert d_bias.numpy().tolist() == [2.0]


def test_a_depthwise_layer_has_no_inputs_to_choose():
    layer = masked(built(layers.DepthwiseConv2D(3), (1, 5, 5, 4)))
    assert layer.input_size == 0
    words = r"Expected output channels .*inputs=\[1\]. Train the channels"
    with pytest.raises(ValueError, match=words):
        layer.train_channels(inputs=[1])
    assert not layer.is_trained


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (layers.Conv2D(4, 3, groups=2), "groups=1.*'a/b'.*groups=2"),
        (layers.Conv2D(4, 3, dilation_rate=2), r"dilation_rate=\(2, 2\)"),
        (layers.DepthwiseConv2D(3, dilation_rate=2), r"dilation_rate=\(1, 1\)"),
        (
            layers.Conv2D(4, 3, data_format="channels_first"),
            "Expected data_format='channels_last'",
        ),
        (layers.Dense(4, dtype="mixed_float16"), "'float16'"),
    ],
)
def test_settings_without_a_kernel_are_refused(layer, words):
    with pytest.raises(ValueError, match=words):
        maskable("a/b", layer)


def test_other_layers_are_not_maskable():
    assert not maskable("t", layers.Conv2DTranspose(4, 3))
    assert not maskable("s", layers.SeparableConv2D(4, 3))
    assert not maskable("r", layers.ReLU())
