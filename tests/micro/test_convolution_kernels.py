"""Law 8: convolutions and their gradients are TensorFlow's.

Both add up to `taps * channels` products of about 1 in float32, in different
orders, so values near zero are off by an epsilon of the largest, not of
themselves: rtol is 1e-5 with an atol of 1e-5 of the largest value.
"""

import numpy as np
import pytest
import tensorflow as tf
from kernel_cases import Case, layers


def assert_close(actual, expected):
    atol = 1e-5 * np.max(np.abs(expected), initial=1e-30)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=atol)


def expect(case):
    """Returns outputs and gradients of TensorFlow."""
    layer = case.layer
    x = tf.Variable(case.input[None])
    filter_ = tf.Variable(case.filter)
    bias = tf.Variable(case.bias)
    top, bottom, left, right = layer.padding
    with tf.GradientTape() as tape:
        padded = tf.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])
        if case.depthwise:
            # TensorFlow has no unequal strides here, so it takes every output.
            kernel = tf.transpose(filter_, (0, 1, 3, 2))
            y = tf.nn.depthwise_conv2d(padded, kernel, (1, 1, 1, 1), "VALID")
            y = y[:, :: layer.stride[0], :: layer.stride[1]]
        else:
            strides = (1, *layer.stride, 1)
            y = tf.nn.conv2d(padded, filter_, strides, "VALID")
        y += bias
        loss = tf.reduce_sum(y * case.d_output)
    gradients = tape.gradient(loss, (x, filter_, bias))
    return y[0].numpy(), *(g.numpy() for g in gradients)


def check(case):
    y, d_x, d_filter, d_bias = expect(case)
    assert case.output_shape == y.shape
    assert_close(case.forward(), y)
    assert_close(case.backward_input() - case.start, d_x[0])
    d_rows = case.rows(d_filter)[case.channels]
    assert_close(case.backward_filter() - 1, d_rows)
    assert_close(case.backward_bias() - 1, d_bias[case.channels])


@pytest.mark.parametrize("layer", layers(), ids=str)
def test_conv2d(kernels, layer):
    check(Case(kernels, layer))


@pytest.mark.parametrize("layer", layers(depthwise=True), ids=str)
def test_depthwise_conv2d(kernels, layer):
    check(Case(kernels, layer, depthwise=True))
