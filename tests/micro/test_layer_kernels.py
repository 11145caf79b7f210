"""Law 8: activations, pooling, heads and their gradients are TensorFlow's.

Sums have at most a few hundred addends of about 1 in float32, in another order
than TensorFlow's: rtol 1e-5, with an atol of 1e-6 for values near zero.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from kernel_cases import VALID, same
from kernel_library import CosineHead, Guarded, Rows, Shape, shape_of

from keras_tinytrain import heads


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def differentiate(function, values, d_output):
    """Returns the result of TensorFlow, and the gradient of `values`."""
    variable = tf.Variable(values)
    with tf.GradientTape() as tape:
        result = function(variable)
        loss = tf.reduce_sum(result * d_output(result.shape))
    gradient = tf.convert_to_tensor(tape.gradient(loss, variable))
    return result.numpy(), gradient.numpy()


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
    values = np.array(
        [np.nan, -np.nan, np.inf, -np.inf, -1, 1e-45], np.float32
    )
    kernels.relu_forward(six, 6, values, None)
    top = 6 if six else np.inf
    np.testing.assert_array_equal(values, np.float32([np.nan, np.nan, top, 0, 0, 1e-45]))


def test_add(kernels):
    a, b = draw(0, 13), draw(1, 13)
    values = Guarded(13, fill=a)
    kernels.add(b, 13, values)
    np.testing.assert_array_equal(values.check(), a + b)


@pytest.mark.parametrize("shape", [(1, 1, 3), (4, 4, 16), (7, 5, 9)])
def test_global_average_pooling(kernels, shape):
    x, d_output, start = draw(0, *shape), draw(1, shape[-1]), draw(2, *shape)
    expected, d_x = differentiate(heads.pool, x[None], lambda _: d_output)
    output = Guarded(shape[-1])
    kernels.global_average_pooling_forward(Shape(*shape), x, output)
    assert_close(output.check(), expected[0])
    d_input = Guarded(shape, fill=start)
    kernels.global_average_pooling_backward(Shape(*shape), d_output, d_input)
    assert_close(d_input.check(), start + d_x[0])


WINDOWS = [
    (size, kernel, stride, padding)
    for size in ((8, 8), (7, 9))
    for kernel, stride in ((2, 2), (3, 2), (3, 1), (7, 2))
    for padding in ("valid", "same")
]


def pooling_window(kernels, size, kernel, stride, padding, channels=5):
    zeros = VALID
    if padding == "same":
        zeros = sum((same(side, kernel, stride) for side in size), ())
    return kernels.window(
        size, channels, channels, (kernel,) * 2, (stride,) * 2, zeros
    )


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), WINDOWS)
def test_average_pooling(kernels, size, kernel, stride, padding):
    window = pooling_window(kernels, size, kernel, stride, padding)
    x, start = draw(0, *size, 5), draw(2, *size, 5)
    pool = keras.layers.AveragePooling2D(kernel, stride, padding)
    d_output = draw(1, *shape_of(window.output))
    expected, d_x = differentiate(pool, x[None], lambda _: d_output)
    output = Guarded(expected[0].shape)
    kernels.average_pooling_forward(window, x, output)
    assert_close(output.check(), expected[0])
    d_input = Guarded(x.shape, fill=start)
    kernels.average_pooling_backward(window, d_output, d_input)
    assert_close(d_input.check(), start + d_x[0])


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), WINDOWS)
def test_max_pooling(kernels, size, kernel, stride, padding, learned):
    window = pooling_window(kernels, size, kernel, stride, padding)
    x, start = draw(0, *size, 5), draw(2, *size, 5)
    pool = keras.layers.MaxPooling2D(kernel, stride, padding)
    d_output = draw(1, *shape_of(window.output))
    expected, d_x = differentiate(pool, x[None], lambda _: d_output)
    output = Guarded(expected[0].shape)
    taps = Guarded(kernels.max_pooling_taps_bytes(window), np.uint8)
    kernels.max_pooling_forward(window, x, output, taps if learned else None)
    np.testing.assert_array_equal(output.check(), expected[0])
    if learned:
        d_input = Guarded(x.shape, fill=start)
        kernels.max_pooling_backward(window, taps, d_output, d_input)
        taps.check()
        assert_close(d_input.check(), start + d_x[0])


def test_max_pooling_takes_the_first_of_equals_and_any_nan(kernels):
    window = pooling_window(kernels, (2, 4), 2, 2, "valid", channels=1)
    x = np.array([[3, 3, 1, 9], [3, 3, np.nan, 9]], np.float32)
    output, taps = np.zeros(2, np.float32), np.zeros(2, np.uint8)
    kernels.max_pooling_forward(window, x, output, taps)
    np.testing.assert_array_equal(output, [3, np.nan])
    np.testing.assert_array_equal(taps, [0, 2])


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (4, 4, 160), (7, 5, 9), (3, 4, 1)]
)
@pytest.mark.parametrize("scale", [1, 0])
def test_pyramid_pooling(kernels, shape, scale):
    x, start = scale * draw(0, *shape), draw(2, *shape)
    d_output = draw(1, 5 * shape[-1])
    expected, d_x = differentiate(heads.pyramid, x[None], lambda _: d_output)
    embedding, norms = Guarded(d_output.shape), Guarded(2)
    kernels.pyramid_pooling_forward(Shape(*shape), x, embedding, norms)
    assert_close(embedding.check(), expected[0])
    d_embedding = Guarded(d_output.shape, fill=d_output)
    d_input = Guarded(shape, fill=start)
    kernels.pyramid_pooling_backward(
        Shape(*shape), embedding, norms.check(), d_embedding, d_input
    )
    d_embedding.check()
    actual, expected = d_input.check(), start + d_x[0]
    # The gradient at zero is 1e6 times as large.
    atol = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize(("depth", "classes"), [(160, 10), (7, 2), (800, 25)])
@pytest.mark.parametrize("zero", ["none", "embedding", "vector"])
@pytest.mark.parametrize("trained", [True, False])
def test_cosine_head(kernels, depth, classes, zero, trained):
    e = draw(0, 1, depth) * (zero != "embedding")
    v = draw(1, classes, depth)
    v[1] *= zero != "vector"
    label = np.array([classes - 1])
    with tf.GradientTape() as tape:
        tensors = tf.Variable(e), tf.Variable(v)
        logits = heads.cosine_logits(*tensors)
        loss = heads.cross_entropy(label, logits)
    d_e, d_v = (g.numpy() for g in tape.gradient(loss, tensors))

    head = CosineHead(depth, classes, heads.SCALE)
    norms, actual = Guarded(1 + classes), Guarded(classes)
    kernels.cosine_head_forward(head, e, v, norms, actual)
    assert_close(actual.check(), logits[0])
    d_logits = Guarded(classes)
    actual_loss = kernels.softmax_cross_entropy(
        actual, classes, int(label[0]), d_logits
    )
    np.testing.assert_allclose(actual_loss, loss[0], rtol=1e-5)
    no_gradient = kernels.softmax_cross_entropy(actual, classes, 0, None)
    assert np.isfinite(no_gradient)
    d_embedding = Guarded(depth, fill=1)
    d_vectors = Guarded(v.shape, fill=1)
    kernels.cosine_head_backward(
        *(head, e, v, norms.check(), actual, d_logits.check(), d_embedding),
        d_vectors if trained else None,
    )
    for gradient, expected in ((d_embedding, d_e[0]), (d_vectors, d_v)):
        if gradient is d_vectors and not trained:
            expected = np.zeros_like(expected)
        atol = 1e-6 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(
            gradient.check(), expected + 1, rtol=1e-5, atol=atol
        )


def test_softmax_of_far_logits_and_nan(kernels):
    d_logits = np.zeros(3, np.float32)
    far = np.array([1000, -1000, 0], np.float32)
    assert kernels.softmax_cross_entropy(far, 3, 0, d_logits) == 0
    np.testing.assert_array_equal(d_logits, 0)
    assert kernels.softmax_cross_entropy(far, 3, 2, d_logits) == 1000
    bad = np.array([1, np.nan, 0], np.float32)
    assert np.isnan(kernels.softmax_cross_entropy(bad, 3, 0, d_logits))


def test_exponential_and_logarithm(kernels):
    x = -np.linspace(0, 86.9, 20011, dtype=np.float32)
    actual = [kernels.exp_of_negative(float(v)) for v in x]
    np.testing.assert_allclose(actual, np.exp(x, dtype=np.float64), rtol=2e-7)
    y = np.geomspace(1, 1e30, 20011).astype(np.float32)
    actual = [kernels.log_above_one(float(v)) for v in y]
    expected = np.log(y.astype(np.float64))
    np.testing.assert_allclose(actual, expected, rtol=2e-7, atol=2e-7)
    assert kernels.exp_of_negative(0.0) == 1
    assert kernels.exp_of_negative(-88.0) == 0
    assert np.isnan(kernels.exp_of_negative(float("nan")))
    assert kernels.log_above_one(float("inf")) == np.inf


@pytest.mark.parametrize(
    ("positions", "n_in", "n_out"), [(1, 160, 10), (6, 5, 3)]
)
def test_dense(kernels, positions, n_in, n_out):
    from kernel_library import Window

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
