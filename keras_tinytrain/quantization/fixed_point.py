"""The integer arithmetic of TensorFlow Lite's reference kernels, in NumPy."""

from __future__ import annotations

import math

import numpy as np

# Fraction bits that the kernel of an addition gives its inputs.
ADD_SHIFT = 20


def encode_multiplier(real: float) -> tuple[int, int]:
    """Writes a factor as an integer and a shift, `M * 2 ** (shift - 31)`.

    Args:
        real: The factor, in double precision, from 0.

    Returns:
        M, below 2 ** 31, and the shift. Both are 0 for a factor that is too
        small to matter.
    """
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def multiply(values: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """Multiplies integers by an encoded factor, rounding twice.

    The product is rounded to an integer at 31 fraction bits, halves upwards,
    and this after a right shift, halves away from zero.

    Args:
        values: Integers; shifted to the left they fit into 32 bits.
        multiplier: What `encode_multiplier` gave.
        shift: The same.
    """
    values = np.asarray(values, np.int64) << max(shift, 0)
    high = (values * multiplier + 2**30) >> 31
    right = max(-shift, 0)
    half = (1 << right) >> 1
    return np.where(high < 0, -((half - high) >> right), (high + half) >> right)


def addition_table(
    first: tuple[float, int],
    second: tuple[float, int],
    output: tuple[float, int],
) -> np.ndarray:
    """Adds every int8 number to every other one.

    Args:
        first: Scale and zero point of the first summand.
        second: Of the second one.
        output: Of the sum.

    Returns:
        int16 `(256, 256)`: for the stored numbers i - 128 and j - 128 the
        stored sum less its zero point, before anything is cut off; sums far
        outside are cut to 16 bits.
    """
    stored = np.arange(-128, 128)
    # The kernel prepares its factors in float32 where C++ does.
    twice = 2 * float(max(np.float32(first[0]), np.float32(second[0])))
    summands = [
        multiply(
            (stored - zero_point) << ADD_SHIFT,
            *encode_multiplier(float(np.float32(scale)) / twice),
        )
        for scale, zero_point in (first, second)
    ]
    factor = twice / (2.0**ADD_SHIFT * float(np.float32(output[0])))
    total = summands[0][:, None] + summands[1]
    sums = multiply(total, *encode_multiplier(factor))
    return np.clip(sums, -(2**15), 2**15 - 1).astype(np.int16)
