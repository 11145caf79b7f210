"""Int8 kernels compute what the integers of TensorFlow Lite's reference do."""

import ctypes

import numpy as np
import pytest
import tensorflow as tf
from int8_cases import Int8Case
from kernel_cases import VALID, layers, same
from kernel_library import Guarded, Shape

from keras_tinytrain.quantization.fixed_point import (
    addition_table,
    encode_multiplier,
    multiply,
)

CASES = [(layer, False) for layer in layers()]
CASES += [(layer, True) for layer in layers(depthwise=True)]


def sums(case):
    """Returns the accumulators, by TensorFlow in float64, which is exact."""
    x = case.input.astype(np.float64) - case.zero_points[0]
    top, bottom, left, right = case.layer.padding
    padded = np.pad(x, [(top, bottom), (left, right), (0, 0)])[None]
    kernel = case.filter.astype(np.float64)
    if case.depthwise:
        kernel = kernel.transpose(0, 1, 3, 2)
        y = tf.nn.depthwise_conv2d(padded, kernel, (1, 1, 1, 1), "VALID")
        y = y[:, :: case.layer.stride[0], :: case.layer.stride[1]]
    else:
        y = tf.nn.conv2d(padded, kernel, (1, *case.layer.stride, 1), "VALID")
    return y[0].numpy().astype(np.int64) + case.bias


@pytest.mark.parametrize(
    ("layer", "depthwise"), CASES, ids=lambda v: str(v) if v else ""
)
def test_convolutions(kernels, layer, depthwise):
    case = Int8Case(kernels, layer, depthwise)
    total = sums(case)
    expected = np.empty_like(total)
    for c, (m, s) in enumerate(zip(case.multiplier, case.shift)):
        expected[..., c] = multiply(total[..., c], int(m), int(s))
    expected += case.zero_points[1]
    output, bits = case.forward()
    kept = np.clip(expected, case.low, case.high)
    np.testing.assert_array_equal(output, kept)
    flat = (kept == expected).ravel()
    np.testing.assert_array_equal(bits[: flat.size], flat)
    assert not bits[flat.size :].any()


@pytest.mark.parametrize("seed", range(20))
def test_factors_are_those_of_the_host(kernels, seed):
    rng = np.random.default_rng(seed)
    reals = [2.0 ** rng.uniform(-14, 6), 1.0, 1 - 2.0**-40, 2.0**-14]
    for real in reals:
        multiplier, shift = ctypes.c_int(), ctypes.c_int()
        kernels.encode_factor(
            *(ctypes.c_double(real), ctypes.byref(multiplier)),
            ctypes.byref(shift),
        )
        assert (multiplier.value, shift.value) == encode_multiplier(real)


@pytest.mark.parametrize("seed", range(5))
def test_every_sum_of_two_numbers(kernels, seed):
    rng = np.random.default_rng(seed)
    scales = np.float32(2.0 ** rng.uniform(-9, -3, 3))
    zeros = rng.integers(-128, 128, 3, np.int32)
    pairs = [(float(s), int(z)) for s, z in zip(scales, zeros)]
    a, b = np.meshgrid(*[np.arange(-128, 128, dtype=np.int8)] * 2)
    a, b = (np.ascontiguousarray(side.T) for side in (a, b))
    low, high = -100, 90
    output = Guarded(a.shape, np.int8)
    mask = Guarded(a.size // 8, np.uint8)
    kernels.add_forward_int8(
        *(1, scales, zeros, low, high, a, b, a.size, output, mask)
    )
    expected = addition_table(*pairs).astype(int) + int(zeros[2])
    kept = np.clip(expected, low, high)
    np.testing.assert_array_equal(output.check(), kept)
    bits = np.unpackbits(mask.check(), bitorder="little")
    np.testing.assert_array_equal(bits, (kept == expected).ravel())


def test_clamp(kernels):
    values = np.arange(-128, 128, dtype=np.int8)
    output = Guarded(256, np.int8)
    mask = Guarded(32, np.uint8)
    kernels.clamp_forward_int8(values, 256, -5, 40, output, mask)
    np.testing.assert_array_equal(output.check(), np.clip(values, -5, 40))
    bits = np.unpackbits(mask.check(), bitorder="little")
    np.testing.assert_array_equal(bits, (values >= -5) & (values <= 40))


def rounded_mean(total, count):
    """Divides, halves away from zero."""
    size = (2 * np.abs(total) + count) // (2 * count)
    return np.sign(total) * size


@pytest.mark.parametrize("shape", [(1, 1, 3), (4, 4, 16), (7, 5, 9)])
def test_global_average_pooling(kernels, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, shape, np.int8)
    x[..., 0] = -128
    output = Guarded(shape[-1], np.int8)
    kernels.global_average_pooling_forward_int8(Shape(*shape), x, output)
    total = x.astype(int).sum((0, 1))
    expected = rounded_mean(total, shape[0] * shape[1])
    np.testing.assert_array_equal(output.check(), expected)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 1)])
def test_pooling_of_windows(kernels, kernel, stride, padding):
    size, channels = (7, 9), 3
    zeros = VALID
    if padding == "same":
        zeros = sum((same(side, kernel, stride) for side in size), ())
    window = kernels.window(
        size, channels, channels, (kernel,) * 2, (stride,) * 2, zeros
    )
    x = np.random.default_rng(1).integers(-128, 128, (*size, channels), np.int8)
    shape = (window.output.height, window.output.width, channels)
    mean, largest = Guarded(shape, np.int8), Guarded(shape, np.int8)
    taps = Guarded(shape, np.uint8)
    kernels.average_pooling_forward_int8(window, x, mean)
    kernels.max_pooling_forward_int8(window, x, largest, taps)
    for y in range(shape[0]):
        for z in range(shape[1]):
            top, left = y * stride - zeros[0], z * stride - zeros[2]
            seen = x[
                max(top, 0) : top + kernel, max(left, 0) : left + kernel
            ].astype(int)
            count = seen.shape[0] * seen.shape[1]
            expected = rounded_mean(seen.sum((0, 1)), count)
            np.testing.assert_array_equal(mean.check()[y, z], expected)
            np.testing.assert_array_equal(
                largest.check()[y, z], seen.max((0, 1))
            )
