"""Int8 layers of random integers."""

import numpy as np

from keras_tinytrain.quantization.scales import Quantization
from keras_tinytrain.quantization.weighted_layers import Int8Dense

UNIT = Quantization(1.0, 0)


def dense(inputs, outputs, **options):
    """An `Int8Dense` of random weights, built."""
    options = {
        "source": UNIT,
        "kernel_scale": np.full(outputs, 2.0**-7),
        **options,
    }
    layer = Int8Dense(UNIT, name="dense", **options)
    layer.build((None, inputs))
    rng = np.random.default_rng(0)
    layer.kernel.assign(rng.integers(-120, 121, (inputs, outputs)))
    layer.bias.assign(rng.integers(-500, 500, outputs))
    return layer
