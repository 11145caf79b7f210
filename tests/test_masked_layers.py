import itertools

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_tinytrain.masked_layers import maskable, masked

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


def random(shape, seed):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=shape), tf.float32)


def built(layer, shape):
    layer.build((None, *shape[1:]))
    for i, weight in enumerate(layer.weights):
        weight.assign(random(weight.shape, i))
    return layer


def check_gradients(layer, x, channels, run_plain):
    """Compares `Masked.forward` with the plain op, values and gradients."""
    mask = masked(layer)
    kernel, bias = mask.folded()
    channels = np.array(channels, np.int32)
    new_kernel = random((*mask.kernel_shape[:-1], len(channels)), 10)
    new_bias = random(len(channels), 11)
    kernel, bias = kernel.numpy(), bias.numpy()
    kernel[..., channels], bias[channels] = new_kernel, new_bias

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
        outputs = mask.forward(x, tf.constant(channels), new_kernel, new_bias)
        loss = tf.reduce_sum(outputs * weights)
    actual = tape.gradient(loss, (x, new_kernel, new_bias))

    np.testing.assert_allclose(outputs, expected, **TOLERANCE)
    wanted = (
        d_x,
        d_kernel.numpy()[..., channels],
        d_bias.numpy()[channels],
    )
    for got, want in zip(actual, wanted):
        assert got.shape == want.shape
        # Relative to the largest entry, since others may cancel out.
        scale = np.abs(want).max() if np.size(want) else 1.0
        np.testing.assert_allclose(got / scale, want / scale, **TOLERANCE)


@pytest.mark.parametrize("channels", CHOICES.values(), ids=CHOICES.keys())
@pytest.mark.parametrize("activation", [None, "relu"])
def test_conv_gradients(channels, activation):
    for kernel, stride, padding in GEOMETRIES:
        x = random((2, 7, 9, 3), 1)
        layer = layers.Conv2D(6, kernel, stride, padding, activation=activation)
        check_gradients(
            built(layer, x.shape),
            x,
            channels,
            lambda x, w, s=stride, p=padding: tf.nn.conv2d(x, w, s, p.upper()),
        )


@pytest.mark.parametrize("channels", CHOICES.values(), ids=CHOICES.keys())
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_gradients(channels, multiplier):
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
        )


@pytest.mark.parametrize("channels", CHOICES.values(), ids=CHOICES.keys())
@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (2, 3, 5, 4)])
def test_dense_gradients(channels, shape):
    x = random(shape, 1)
    layer = built(layers.Dense(6, activation="relu"), shape)
    check_gradients(layer, x, channels, lambda x, w: tf.tensordot(x, w, 1))


def test_gradients_by_hand():
    """The kernel gradient of a 1x1 convolution is the sum of x g."""
    layer = layers.Conv2D(2, 1)
    layer.build((None, 1, 2, 1))
    x = tf.constant([[[[3.0], [5.0]]]])
    kernel, bias = tf.constant([[[[7.0]]]]), tf.constant([1.0])
    with tf.GradientTape() as tape:
        tape.watch((x, kernel, bias))
        y = masked(layer).forward(x, tf.constant([1]), kernel, bias)
        loss = 2.0 * y[0, 0, 0, 1] + y[0, 0, 1, 1]
    assert y[0, 0, :, 1].numpy().tolist() == [22.0, 36.0]
    d_x, d_kernel, d_bias = tape.gradient(loss, (x, kernel, bias))
    assert d_x.numpy().ravel().tolist() == [14.0, 7.0]
    assert d_kernel.numpy().item() == 2.0 * 3.0 + 5.0
    assert d_bias.numpy().item() == 3.0


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
