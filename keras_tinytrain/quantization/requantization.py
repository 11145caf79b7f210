"""From accumulators to int8, bit for bit as TensorFlow Lite, in float64."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_tinytrain.quantization.fixed_point import encode_multiplier
from keras_tinytrain.quantization.scales import (
    LARGEST_FACTOR,
    SMALLEST_FACTOR,
    Quantization,
)


class Requantization:
    """Brings the accumulators of a layer to the scale of its output.

    The reference kernels multiply an accumulator by `M * 2 ** (shift - 31)`
    and round twice. With `r = -shift` and `e = 2 ** (-r - 1)`, or 0 unless
    r is positive, that is

        floor(acc * M * 2 ** (shift - 31) + 0.5 + sign(acc) * e)

    which float64 computes exactly as far as the output reaches; see
    docs/quantization.md.

    Args:
        source: Quantization of what the layer reads.
        kernel_scale: float32 `(channels,)`.
        output: Quantization of what it writes.
        activation: `"none"`, `"relu"` or `"relu6"`.

    Attributes:
        encoded: int64 `(channels, 2)`, M and shift.
        factor: float64 `(channels,)`, `M * 2 ** (shift - 31)`.
        tilt: float32 `(channels,)`, e.
        left_shift: Bits by which accumulators are shifted before.
        low: Smallest output less its zero point.
        high: Largest one.

    Raises:
        ValueError: If a factor is so small or large that the arithmetic
            would not be exact.
    """

    def __init__(
        self,
        source: Quantization,
        kernel_scale: np.ndarray,
        output: Quantization,
        activation: str,
    ) -> None:
        real = np.float64(source.scale) * kernel_scale.astype(np.float64)
        real = real / np.float64(output.scale)
        if real.min() < SMALLEST_FACTOR or real.max() > LARGEST_FACTOR:
            raise ValueError(
                "Expected input scale * kernel scale / output scale from "
                f"{SMALLEST_FACTOR} to {LARGEST_FACTOR}. Received: "
                f"{real.min()} to {real.max()}"
            )
        self.encoded = np.array([encode_multiplier(value) for value in real])
        multiplier, shift = self.encoded.T.astype(np.float64)
        self.factor = multiplier * 2.0 ** (shift - 31)
        self.left_shift = max(0, int(shift.max()))
        tilt = np.where(shift < 0, 2.0 ** (shift - 1), 0.0)
        self.tilt = tilt.astype(np.float32)
        self.low, self.high = output.bounds(activation)

    def rounded(self, accumulators: tf.Tensor) -> tf.Tensor:
        """Returns float32 integers, before anything is cut off.

        Args:
            accumulators: Integers `(..., channels)` in float32 or float64.
        """
        tilt = tf.constant(self.tilt, accumulators.dtype)
        # Both summands are exact: half, and a power of two from 2**-14.
        offset = tf.sign(accumulators) * tilt + 0.5
        scaled = tf.cast(accumulators, tf.float64) * self.factor
        result = tf.floor(scaled + tf.cast(offset, tf.float64))
        return tf.cast(result, tf.float32)

    def inside(self, rounded: tf.Tensor) -> tf.Tensor:
        """Tells which values the output holds."""
        return (rounded >= self.low) & (rounded <= self.high)

    def saturated(self, rounded: tf.Tensor) -> tf.Tensor:
        """Cuts off what the output does not hold."""
        return tf.clip_by_value(rounded, float(self.low), float(self.high))


def straight_through(
    real: tf.Tensor, rounded: tf.Tensor, low: int, high: int
) -> tf.Tensor:
    """Saturates rounded values; gradients go to the real ones.

    No gradient passes where something was cut off.

    Args:
        real: What was rounded; it is not computed unless a gradient is.
        rounded: Integers, before anything is cut off.
        low: Smallest value left.
        high: Largest value left.
    """

    @tf.custom_gradient
    def saturate(real):
        del real

        def gradient(d_outputs):
            inside = (rounded >= low) & (rounded <= high)
            return tf.where(inside, d_outputs, 0.0)

        return tf.clip_by_value(rounded, float(low), float(high)), gradient

    return saturate(real)


def round_half_away(values: tf.Tensor) -> tf.Tensor:
    """Rounds float32 as C's `round` does: halves away from zero."""
    # The sum is exact in float64, as it is not in float32.
    wide = tf.cast(values, tf.float64)
    rounded = tf.sign(wide) * tf.floor(tf.abs(wide) + 0.5)
    return tf.cast(rounded, tf.float32)
