"""How much of a layer lies outside what its int8 output can hold."""

from __future__ import annotations

import warnings

import numpy as np
import tensorflow as tf

from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.quantization.calibration import batches
from keras_tinytrain.quantization.masked import MaskedInt8

# Share of a layer's outputs from which on a warning is given.
MOST = 0.5


def saturation(model: AdaptiveModel, images: np.ndarray) -> dict[str, float]:
    """Measures the share of outputs that the scale of a layer cuts off.

    What an activation cuts off does not count, as the zeros of a ReLU.

    Args:
        model: A wrapped int8 model.
        images: Its inputs.

    Returns:
        The share by layer.
    """
    network = model.network
    counts = dict.fromkeys(network.layers, 0)
    sizes = dict.fromkeys(network.layers, 0)
    for batch in batches(images):
        tensors = {0: batch}
        for i, op in enumerate(network.ops):
            if op.name in network.layers:
                layer = network.layers[op.name]
                cut, size = _cut_off(layer, tensors[op.inputs[0]])
                counts[op.name] += cut
                sizes[op.name] += size
            tensors = network.run(tensors, i, i + 1)
    return {name: counts[name] / sizes[name] for name in counts}


def check_saturation(model: AdaptiveModel, images: np.ndarray) -> None:
    """Warns of every layer most of which saturates.

    Args:
        model: A wrapped int8 model.
        images: Its inputs.
    """
    for name, share in saturation(model, images).items():
        if share > MOST:
            warnings.warn(
                f"{share:.0%} of the outputs of layer {name!r} saturate: they "
                "lie outside what its scale can hold. Quantize with data like "
                "what the model meets.",
                stacklevel=3,
            )


def _cut_off(layer: MaskedInt8, x: tf.Tensor) -> tuple[int, int]:
    """Counts outputs that are cut off by nothing but their scale."""
    int8 = layer.layer
    kernel, bias = layer.replaced(layer.slices())
    kernel = tf.reshape(kernel, int8.kernel.shape)
    rounded = int8.requantization.rounded(int8.accumulate(x, kernel, bias))
    to, activation = int8.quantization, int8.activation_name
    cut = tf.zeros_like(rounded, tf.bool)
    if activation == "none":
        cut |= rounded < to.low
    if activation != "relu6" or 6.0 / to.scale > to.high + 1:
        cut |= rounded > to.high
    return int(tf.math.count_nonzero(cut)), int(tf.size(rounded))
