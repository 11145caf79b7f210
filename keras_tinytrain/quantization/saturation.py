"""How much of a layer lies outside what its int8 output can hold."""

from __future__ import annotations

import warnings

import numpy as np
import tensorflow as tf

from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.quantization.calibration import batches
from keras_tinytrain.quantization.layers import Quantize
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
        The share by layer, of those that quantize and those with weights.
    """
    network = model.network
    counts: dict[str, np.ndarray] = {}
    for batch in batches(images):
        tensors = {0: batch}
        for i, op in enumerate(network.ops):
            layer = op.operation
            if isinstance(layer, (Quantize, MaskedInt8)):
                cut = _cut_off(layer, tensors[op.inputs[0]])
                found = int(tf.math.count_nonzero(cut)), int(tf.size(cut))
                counts[op.name] = counts.get(op.name, 0) + np.array(found)
            tensors = network.run(tensors, i, i + 1)
    return {name: float(cut / size) for name, (cut, size) in counts.items()}


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


def _cut_off(layer: Quantize | MaskedInt8, x: tf.Tensor) -> tf.Tensor:
    """Tells which outputs are cut off by nothing but their scale."""
    if isinstance(layer, Quantize):
        to, activation = layer.quantization, "none"
        rounded = layer.rounded(x)
    else:
        int8 = layer.layer
        to, activation = int8.quantization, int8.activation_name
        kernel, bias = layer.replaced(layer.slices())
        kernel = tf.reshape(kernel, int8.kernel.shape)
        rounded = int8.requantization.rounded(int8.accumulate(x, kernel, bias))
    cut = tf.zeros_like(rounded, tf.bool)
    if activation == "none":
        cut |= rounded < to.low
    # What a ReLU6 would cut off anyway does not count.
    _, six = to.bounds("relu6")
    if activation != "relu6" or six == to.high < 6.0 / to.scale - 0.5:
        cut |= rounded > to.high
    return cut
