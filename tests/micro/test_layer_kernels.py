"""Law 8: activations, additions and dense layers are TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf
from kernel_library import Guarded, Rows, Window
from oracle import assert_close, differentiate, draw


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 203])
@pytest.mark.parametrize("six", [False, True])
def test_relu(kernels, count, six):
    values = 5 * draw(count, count)
    values[: min(count, 4)] = [0.0, -0.0, 6.0, 7.0][:count]
    d_output = draw(1, count)
    function = tf.nn.relu6 if six else tf.nn.relu
    expected, d_x = differentiate(function, values, lambda _: d_output)
    result = Guarded(count, fill=values)
    mask = Guarded(kernels.mask_bytes(count), np.uint8)
    kernels.relu_forward(six, count, result, mask)
    np.testing.assert_array_equal(result.check(), expected)
    # Not a bit of the last byte is left over.
    bits = np.unpackbits(mask.check(), bitorder="little")
    passes = (values > 0) & (values < (6 if six else np.inf))
    np.testing.assert_array_equal(bits[:count], passes)
    assert not np.any(bits[count:])
    gradient = Guarded(count, fill=d_output)
    kernels.relu_backward(mask, count, gradient)
    np.testing.assert_array_equal(gradient.check(), d_x)


@pytest.mark.parametrize("six", [False, True])
def test_relu_keeps_nan_and_needs_no_mask(kernels, six):
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, -1, 1e-45], np.float32)
    kernels.relu_forward(six, 6, values, None)
    top = 6 if six else np.inf
    np.testing.assert_array_equal(
        values, np.float32([np.nan, np.nan, top, 0, 0, 1e-45])
    )


def test_add(kernels):
    a, b = draw(0, 13), draw(1, 13)
    values = Guarded(13, fill=a)
    kernels.add(b, 13, values)
    np.testing.assert_array_equal(values.check(), a + b)


@pytest.mark.parametrize(
    ("positions", "n_in", "n_out"), [(1, 160, 10), (6, 5, 3)]
)
def test_dense(kernels, positions, n_in, n_out):
    window = Window()
    kernels.dense_window(positions, n_in, n_out, window)
    assert kernels.check_window(window) == 0
    x, kernel = draw(0, positions, n_in), draw(1, n_in, n_out)
    d_output = draw(2, positions, n_out)
    filter_ = Rows(kernel.T, np.zeros((0, n_in)), [])
    no_bias = Rows(None, np.zeros(0), [])
    output = Guarded((positions, n_out))
    kernels.conv2d_forward(1, window, x, filter_, no_bias, output)
    np.testing.assert_allclose(output.check(), x @ kernel, rtol=1e-5, atol=1e-5)
    d_input = Guarded(x.shape)
    kernels.conv2d_backward_input(1, window, d_output, filter_, d_input)
    assert_close(d_input.check(), d_output @ kernel.T)
    d_filter = Guarded((n_out, n_in))
    every = np.arange(n_out, dtype=np.uint16)
    kernels.conv2d_backward_filter(
        1, window, x, d_output, every, n_out, d_filter
    )
    assert_close(d_filter.check(), d_output.T @ x)
