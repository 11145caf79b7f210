"""How real numbers are stored in eight bits."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

LOWEST, HIGHEST = -128, 127
# Largest weight: kernels are symmetric.
LARGEST_WEIGHT = 127
# Float32 holds all integers below.
EXACT = 2**24
# Factors from accumulator to output for which float64 is exact.
SMALLEST_FACTOR, LARGEST_FACTOR = 2.0**-14, 2.0**6
# Kernels of so many terms leave a bias less room; float64 sums them.
LEAST_BIAS_LIMIT = 2**22


@dataclasses.dataclass(frozen=True)
class Quantization:
    """How an int8 tensor stores real values, `scale * (q - zero_point)`.

    Attributes:
        scale: Real value of one step, > 0 and finite, rounded to float32.
        zero_point: Stored value that means 0.0, from -128 to 127.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        check_scales(self.scale)
        if not (
            isinstance(self.zero_point, (int, np.integer))
            and LOWEST <= self.zero_point <= HIGHEST
        ):
            raise ValueError(
                f"Expected a zero point from {LOWEST} to {HIGHEST}. Received: "
                f"{self.zero_point!r}"
            )
        object.__setattr__(self, "scale", float(np.float32(self.scale)))
        object.__setattr__(self, "zero_point", int(self.zero_point))

    @property
    def low(self) -> int:
        """Smallest stored value less the zero point."""
        return LOWEST - self.zero_point

    @property
    def high(self) -> int:
        """Largest stored value less the zero point."""
        return HIGHEST - self.zero_point

    def bounds(self, activation: str) -> tuple[int, int]:
        """Returns what an activation leaves of `low` and `high`.

        Args:
            activation: `"none"`, `"relu"` or `"relu6"`.
        """
        if activation == "none":
            return self.low, self.high
        if activation == "relu":
            return 0, self.high
        six = np.float32(6.0) / np.float32(self.scale)
        return 0, min(self.high, math.floor(float(six) + 0.5))

    def to_config(self) -> list:
        """Returns scale and zero point, for JSON."""
        return [self.scale, self.zero_point]


def check_scales(scales: float | np.ndarray) -> None:
    """Raises `ValueError` unless all are positive, finite float32."""
    values = np.atleast_1d(np.asarray(scales, np.float32))
    bad = ~(np.isfinite(values) & (values >= np.finfo(np.float32).tiny))
    if bad.any():
        raise ValueError(
            "Expected scales to be positive and finite. Received: "
            f"{values[bad][0]} (channel {int(np.argmax(bad))} of {len(values)})"
        )


def range_quantization(low: float, high: float) -> Quantization:
    """Returns the quantization that just holds a range and 0.0.

    Args:
        low: Smallest real value.
        high: Largest real value.
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = float(np.float32((high - low) / (HIGHEST - LOWEST)))
    check_scales(scale)
    zero_point = round(LOWEST - low / scale)
    return Quantization(scale, min(max(zero_point, LOWEST), HIGHEST))


def largest_product(terms: int, source: Quantization) -> int:
    """Returns a bound of the sum of `terms` products, without the bias."""
    return terms * max(-source.low, source.high) * LARGEST_WEIGHT


def bias_limit(terms: int, source: Quantization) -> int:
    """Returns how large a bias may be.

    Such that no sum on the way leaves the integers that float32 holds; where
    that would leave little room, sums are in float64 (`needs_float64`).

    Args:
        terms: Products that one output sums up.
        source: Quantization of what the layer reads.
    """
    if needs_float64(terms, source):
        return EXACT
    return EXACT - largest_product(terms, source)


def needs_float64(terms: int, source: Quantization) -> bool:
    """Tells whether sums of a layer may leave float32's integers."""
    return EXACT - largest_product(terms, source) < LEAST_BIAS_LIMIT


def quantize_weights(
    kernel: np.ndarray,
    bias: np.ndarray,
    source: Quantization,
    output: Quantization,
    *,
    terms: int,
    scale: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stores a kernel in int8, a scale per output channel, and its bias.

    Where the scale would be so small that the bias does not fit into the
    accumulator, or that the kernel hardly moves the output, it is larger.

    Args:
        kernel: Real `(..., channels)`.
        bias: Real `(channels,)`.
        source: Quantization of what the layer reads.
        output: Quantization of what it writes.
        terms: Products that one output sums up.
        scale: Scales, `(channels,)`. Those of the largest weight when None.

    Returns:
        int8 kernel, int32 bias, float32 scales.
    """
    kernel, bias = np.float64(kernel), np.float64(bias)
    if scale is None:
        axes = tuple(range(kernel.ndim - 1))
        scale = np.abs(kernel).max(axis=axes) / LARGEST_WEIGHT
    room = np.abs(bias) / (source.scale * bias_limit(terms, source))
    least = SMALLEST_FACTOR * output.scale / source.scale
    # A little more, lest rounding the scale to float32 makes it too small.
    least = np.maximum(room, least) * (1 + 2**-20)
    scale = np.maximum(scale, least).astype(np.float32)
    exact = scale.astype(np.float64)
    kernel = np.clip(np.rint(kernel / exact), -LARGEST_WEIGHT, LARGEST_WEIGHT)
    bias = np.rint(bias / (exact * source.scale))
    return kernel.astype(np.int8), bias.astype(np.int32), scale
