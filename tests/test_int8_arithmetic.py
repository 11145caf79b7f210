"""The integers of an int8 graph, and that floats compute them exactly."""

import numpy as np
import pytest
import tensorflow as tf
from int8_layers import UNIT, dense

from keras_tinytrain.quantization.fixed_point import (
    addition_table,
    encode_multiplier,
    multiply,
)
from keras_tinytrain.quantization.requantization import (
    Requantization,
    round_half_away,
)
from keras_tinytrain.quantization.scales import (
    EXACT,
    Quantization,
    bias_limit,
    quantize_weights,
    range_quantization,
)

# Fixed point.


def test_multipliers_by_hand():
    assert encode_multiplier(0.5) == (2**30, 0)
    assert encode_multiplier(1.0) == (2**30, 1)
    assert encode_multiplier(0.75 / 16) == (3 * 2**29, -4)
    # Rounds up to the next power of two.
    assert encode_multiplier(1 - 2.0**-40) == (2**30, 1)
    assert encode_multiplier(2.0**-40) == (0, 0)


def test_products_are_rounded_twice():
    halves = multiply(np.array([3, -3, 1, -1]), 2**30, 0)
    np.testing.assert_array_equal(halves, [2, -1, 1, 0])
    # 5 / 4 is first 2.5, hence 3, then 1.5, hence 2.
    quarters = multiply(np.array([5, 6, -6, 2, -2, 4]), 2**30, -1)
    np.testing.assert_array_equal(quarters, [2, 2, -2, 1, -1, 1])
    np.testing.assert_array_equal(
        multiply(np.array([7, -7]), 2**30, 3), [28, -28]
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_requantization_equals_the_integers(dtype):
    rng = np.random.default_rng(0)
    scales = 2.0 ** rng.uniform(-14, 6, 300)
    scales[:4] = 2.0**-14, 2.0**-1, 1.0, 2.0**6
    scales = scales.astype(np.float32)
    requantization = Requantization(UNIT, scales, UNIT, "none")
    # Half of them where the output is in range, and its halves.
    inside = (rng.uniform(-140, 140, (400, 300)) / scales).round()
    halves = ((rng.integers(-140, 140, (400, 300)) + 0.5) / scales).round()
    far = rng.integers(-EXACT, EXACT + 1, (100, 300)).astype(float)
    values = np.concatenate([inside, halves, far]).clip(-EXACT, EXACT)
    rounded = requantization.rounded(tf.constant(values, dtype))
    actual = requantization.saturated(rounded).numpy()
    mask = requantization.inside(rounded).numpy()
    for i, scale in enumerate(scales):
        expected = multiply(values[:, i], *encode_multiplier(float(scale)))
        within = (expected >= -128) & (expected <= 127)
        np.testing.assert_array_equal(mask[:, i], within)
        np.testing.assert_array_equal(actual[:, i], expected.clip(-128, 127))


def test_sums_by_hand():
    one = addition_table((1.0, 0), (1.0, 0), (1.0, 0))
    i = np.arange(-128, 128)
    np.testing.assert_array_equal(one, i[:, None] + i)
    # (3 - 1) * 0.5 + (4 + 2) * 0.25 = 2.5, in steps of 0.5.
    table = addition_table((0.5, 1), (0.25, -2), (0.5, 7))
    assert table[3 + 128, 4 + 128] == 5
    assert table[0 + 128, -2 + 128] == -1


def test_half_away_from_zero():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    values = tf.constant([0.5, -0.5, 2.5, -2.5, below, 1.4])
    expected = [1, -1, 3, -3, 0, 1]
    np.testing.assert_array_equal(round_half_away(values), expected)


# Scales.


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan, 1e-42])
def test_bad_scales_are_refused(scale):
    with pytest.raises(ValueError, match=r"positive and finite"):
        Quantization(scale, 0)
    scales = [0.01, scale, 0.01]
    with pytest.raises(ValueError, match=r"'dense'.*finite.*channel 1 of 3"):
        dense(2, 3, kernel_scale=scales)


@pytest.mark.parametrize("zero_point", [-129, 128, 0.5, None])
def test_bad_zero_points_are_refused(zero_point):
    with pytest.raises(ValueError, match=r"from -128 to 127\. Received"):
        Quantization(0.1, zero_point)


def test_a_range_by_hand():
    relu6 = range_quantization(0.0, 6.0)
    assert (relu6.zero_point, relu6.low, relu6.high) == (-128, 0, 255)
    assert relu6.scale == np.float32(6 / 255)
    assert relu6.bounds("relu6") == (0, 255)
    both = range_quantization(-1.0, 1.55)
    assert (both.zero_point, both.scale) == (-28, np.float32(0.01))
    # Zero is always held.
    assert range_quantization(3.0, 5.1).zero_point == -128
    assert Quantization(0.1, 0).bounds("relu6") == (0, 60)
    assert Quantization(0.1, 0).bounds("relu") == (0, 127)


def test_weights_by_hand():
    kernel = np.array([[1.27, 0.0], [-0.64, 0.0]])
    bias = np.array([0.5, 2.0])
    source = Quantization(0.5, 0)
    stored, integers, scale = quantize_weights(
        kernel, bias, source, UNIT, terms=2
    )
    assert scale[0] == np.float32(0.01)
    np.testing.assert_array_equal(stored[:, 0], [127, -64])
    assert integers[0] == 100
    # A channel of zeros has a scale that its bias fits to.
    np.testing.assert_array_equal(stored[:, 1], 0)
    assert abs(integers[1]) <= bias_limit(2, source)
    assert integers[1] * scale[1] * 0.5 == pytest.approx(2.0, rel=1e-6)


# Accumulators.


@pytest.mark.parametrize("inputs", [3, 388, 389, 700])
def test_accumulators_are_exact_at_their_largest(inputs):
    source = Quantization(1.0, -128)
    layer = dense(inputs, 4, source=source)
    for sign in (1, -1):
        x = tf.fill((2, inputs), 255.0)
        kernel = tf.fill((inputs, 4), 127.0 * sign)
        bias = tf.fill((4,), float(layer.bias_limit * sign))
        sums = layer.accumulate(x, kernel, bias)
        expected = sign * (255 * 127 * inputs + layer.bias_limit)
        assert set(sums.numpy().ravel().astype(np.int64)) == {expected}
        # The next number is another one.
        next_ = layer.accumulate(x, kernel, bias - sign)
        assert set((sums - next_).numpy().ravel()) == {sign}


def test_accumulators_that_could_overflow_are_refused():
    dense(50_000, 1)
    with pytest.raises(ValueError, match=r"32 bits.*'dense'.*140,000 products"):
        dense(140_000, 1)
    # A factor above one shifts first.
    with pytest.raises(ValueError, match="'dense'"):
        dense(50_000, 1, kernel_scale=[8.0])


@pytest.mark.parametrize("scale", [2.0**-15, 2.0**7])
def test_factors_out_of_range_are_refused(scale):
    with pytest.raises(ValueError, match=r"'dense'.*kernel scale / output"):
        dense(2, 1, kernel_scale=[scale])


def test_a_layer_equals_integers_in_numpy():
    layer = dense(20, 5, activation="relu")
    x = np.random.default_rng(1).integers(-128, 128, (6, 20))
    sums = x @ layer.kernel.numpy().astype(int) + layer.bias.numpy()
    expected = multiply(sums, *encode_multiplier(2.0**-7)).clip(0, 127)
    actual = layer(tf.constant(x, tf.float32))
    np.testing.assert_array_equal(actual, expected)
    assert 0 < (expected == 0).mean() < 1
