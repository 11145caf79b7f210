"""Law 8: where weights and gradients lie changes no bit."""

import numpy as np
import pytest


@pytest.mark.parametrize("size", [(5, 7), (8, 8), (1, 9)])
@pytest.mark.parametrize("channels", [4, 6, 9])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_a_gradient_over_that_of_the_output(kernels, size, channels, kernel):
    rng = np.random.default_rng(0)
    window = kernels.window(
        size, channels, channels, (kernel,) * 2, (1, 1), (kernel // 2,) * 4
    )
    filter_ = rng.integers(-127, 128, (kernel, kernel, channels), np.int8)
    gradient = rng.normal(size=(*size, channels)).astype("float32")
    expected = np.zeros_like(gradient)
    # A plane of four channels, and their taps.
    scratch = np.zeros(4 * size[0] * size[1] + kernel**2, np.float32)
    for over in (0, 1):
        kernels.depthwise_conv2d_backward_input_int8(
            over, window, filter_, scratch, gradient, expected
        )
    assert np.abs(expected).max() > 1
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("shape", [(8, 5, 1, 1), (5, 6, 3, 1), (7, 9, 3, 2)])
@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_inputs_that_lie_elsewhere(kernels, shape, share):
    rng = np.random.default_rng(1)
    inputs, outputs, kernel, stride = shape
    window = kernels.window(
        (6, 5),
        inputs,
        outputs,
        (kernel,) * 2,
        (stride,) * 2,
        (kernel // 2,) * 4,
    )
    draw = lambda *shape: rng.normal(size=shape).astype("float32")  # noqa: E731
    count = max(1, int(share * inputs))
    index = np.sort(rng.permutation(inputs)[:count]).astype(np.uint16)
    base, slice_ = (draw(outputs, kernel, kernel, n) for n in (inputs, count))
    whole = base.copy()
    whole[..., index] = slice_
    size = window.output.height, window.output.width, outputs
    x, d_output = draw(6, 5, inputs), draw(*size)
    patch = np.zeros(4 * kernel**2 * max(inputs, outputs), np.float32)
    found = []
    for filter_, n in ((whole, 0), (base, count)):
        output, d_input = np.zeros(size, np.float32), np.zeros_like(x)
        kernels.conv2d_with_inputs(
            *(window, filter_, slice_, index, n, patch),
            *(x, output, d_output, d_input),
        )
        found.append((output, d_input))
    for expected, actual in zip(*found):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_array_equal(actual, expected)
