"""TensorFlow's results and gradients, to compare kernels with.

Sums have at most a few hundred addends of about 1 in float32, in another order
than TensorFlow's: rtol 1e-5, with an atol of 1e-6 for values near zero.
"""

import numpy as np
import tensorflow as tf


def assert_close(actual, expected):
    """Asserts that they differ by rounding alone."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def draw(seed, *shape):
    """Returns random numbers of size 1."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def differentiate(function, values, d_output):
    """Returns the result of TensorFlow, and the gradient of `values`."""
    variable = tf.Variable(values)
    with tf.GradientTape() as tape:
        result = function(variable)
        loss = tf.reduce_sum(result * d_output(result.shape))
    gradient = tf.convert_to_tensor(tape.gradient(loss, variable))
    return result.numpy(), gradient.numpy()
