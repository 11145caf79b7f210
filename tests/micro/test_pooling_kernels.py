"""Law 8: pooling and its gradients are TensorFlow's."""

import keras
import numpy as np
import pytest
from kernel_cases import VALID, same
from kernel_library import Guarded, Shape, shape_of
from oracle import assert_close, differentiate, draw

from keras_tinytrain import heads


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
