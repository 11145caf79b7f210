"""The fast int8 kernels compute their plain references, bit for bit.

Nothing here needs TensorFlow: test_kernel_builds.py runs this file again,
sanitized.
"""

import ctypes

import numpy as np
import pytest
from int8_cases import Int8Case
from kernel_cases import Layer, layers
from kernel_library import Guarded

CASES = [(layer, False) for layer in layers()]
CASES += [(layer, True) for layer in layers(depthwise=True)]


@pytest.mark.parametrize(
    ("layer", "depthwise"), CASES, ids=lambda v: str(v) if v else ""
)
def test_fast_is_reference(kernels, layer, depthwise):
    case = Int8Case(kernels, layer, depthwise)
    expected, kept = case.forward(fast=False)
    actual, bits = case.forward(fast=True)
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(bits, kept)
    # Without a mask the same numbers.
    np.testing.assert_array_equal(case.forward(masked=False)[0], expected)


@pytest.mark.parametrize("kernel", [1, 3, 4, 5, 7])
def test_depthwise_lies_over_its_input(kernels, kernel):
    before, after = (kernel - 1) // 2, kernel // 2
    layer = Layer(
        *((6, 9), (5, 5), (kernel, kernel), (1, 1)),
        *((before, after, before, after), "some"),
    )
    case = Int8Case(kernels, layer, depthwise=True)
    expected, kept = case.forward()
    actual, bits = case.forward(in_place=True)
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(bits, kept)


@pytest.mark.parametrize("shift", range(-31, 8))
def test_multiply_rounded(kernels, shift):
    rng = np.random.default_rng(shift + 40)
    limit = 2 ** (31 - max(shift, 0)) - 1
    values = rng.integers(-limit, limit, 2000, np.int32)
    values[:1000] = rng.integers(-min(limit, 5000), min(limit, 5000), 1000)
    values[:5] = [0, 1, -1, limit, -limit]
    # Halves are frequent where the factor is a power of two.
    for multiplier in (2**30, 2**31 - 1, *rng.integers(2**30, 2**31, 5)):
        found = np.zeros((2, len(values)), np.int32)
        for fast in (0, 1):
            kernels.multiply_rounded(
                fast, values, len(values), int(multiplier), shift, found[fast]
            )
        # Shifted to the left, the largest do not fit behind the product.
        fits = np.abs(values * (multiplier / 2**31) * 2.0**shift) < 2**31 - 1
        np.testing.assert_array_equal(found[0][fits], found[1][fits])


@pytest.mark.parametrize("in_place", [None, "first", "second", "both"])
def test_addition(kernels, in_place):
    rng = np.random.default_rng(3)
    count = 1001
    a, b = rng.integers(-128, 128, (2, count), np.int8)
    if in_place == "both":
        b = a
    scales = np.array([0.03, 0.0071, 0.0402], np.float32)
    zeros = np.array([-128, 3, -20], np.int32)
    found = []
    for fast in (0, 1):
        output = Guarded(count, np.int8)
        mask = Guarded((count + 7) // 8, np.uint8, fill=0xFF)
        summands = [a, b]
        if fast and in_place in ("first", "both"):
            output.array[...] = a
            summands[0] = output
        if fast and in_place in ("second", "both"):
            output.array[...] = b
            summands[1] = output
        kernels.add_forward_int8(
            *(fast, scales, zeros, -20, 100, *summands, count, output, mask)
        )
        found.append((output.check(), mask.check()))
    np.testing.assert_array_equal(found[1][0], found[0][0])
    np.testing.assert_array_equal(found[1][1], found[0][1])


def test_a_factor_too_small_is_zero(kernels):
    multiplier, shift = ctypes.c_int(9), ctypes.c_int(9)
    real = ctypes.c_double(2.0**-40)
    kernels.encode_factor(real, ctypes.byref(multiplier), ctypes.byref(shift))
    assert (multiplier.value, shift.value) == (0, 0)
