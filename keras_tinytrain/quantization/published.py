"""The backbones of the zoo in int8, with the numbers that were published."""

from __future__ import annotations

import keras
import numpy as np

from keras_tinytrain import zoo
from keras_tinytrain.device_graph import Graph
from keras_tinytrain.lower import lower
from keras_tinytrain.network import Network
from keras_tinytrain.quantization.conversion import Weights, build_int8
from keras_tinytrain.quantization.scales import Quantization
from keras_tinytrain.zoo.weights import Int8Layer, read_int8

FILES = {
    "mcunet": "mcunet-5fps",
    "mobilenet_v2": "mbv2-w0.35",
    "proxyless_nas": "proxyless-w0.3",
}


def imagenet(name: str, *, include_top: bool = False) -> keras.Model:
    """Builds a backbone in int8 with the integers that were published.

    No float model lies between, so scales, weights and biases are those with
    which the authors trained. Of about one channel in a hundred or two hundred
    the bias is so large, or the scale so small, that the arithmetic would not
    be exact; these have a larger scale here, and coarser weights, which say
    little (docs/quantization.md).

    Args:
        name: `"mcunet"`, `"mobilenet_v2"` or `"proxyless_nas"`.
        include_top: Whether to end in the 1000 ImageNet logits.

    Returns:
        A model that takes pixels from 0 to 255, to be wrapped as any other.

    Raises:
        ValueError: If the name is unknown, or a file is not the published
            one.
        FileNotFoundError: If `KERAS_TINYTRAIN_WEIGHTS` names no folder with
            the files.

    Example:

    >>> model = keras_tinytrain.wrap(quantization.imagenet("mcunet"))

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472)
    """
    if name not in FILES:
        raise ValueError(
            f"Expected `name` to be one of {sorted(FILES)}. Received: "
            f"name={name!r}"
        )
    layers, scales = read_int8(FILES[name])
    network = Network(zoo.build(name, weights=None, include_top=include_top))
    graph = lower(network)
    weights = {layer: _real(layers[layer]) for layer in network.layers}
    quantizations = _quantizations(graph, scales)
    return build_int8(network, graph, quantizations, weights, name)


def _real(layer: Int8Layer) -> Weights:
    """Returns real weights, in float64, which leaves the integers exact."""
    scale = layer.kernel_scale.astype(np.float64)
    kernel = layer.kernel.astype(np.float64)
    if kernel.shape[2:] == (len(scale), 1):
        kernel = kernel[..., 0]
    bias = layer.bias * (scale * float(np.float32(layer.input_scale)))
    return Weights(kernel * scale, bias, scale)


def _quantizations(
    graph: Graph, scales: dict[str, tuple[float, int]]
) -> list[Quantization]:
    """Returns the quantization of each tensor."""
    found = [Quantization(*scales["image"])]
    for op in graph.ops:
        same = op.kind in ("rescale", "global_average_pool")
        before = found[op.inputs[0]]
        found.append(before if same else Quantization(*scales[op.name]))
    return found
