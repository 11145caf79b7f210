"""What each layer of a wrapped model costs to train."""

from __future__ import annotations

import math

import keras

from keras_tinytrain.budget import (
    BYTES_PER_TRAINED_WEIGHT,
    LayerCost,
    LayerCosts,
)
from keras_tinytrain.masked_layers import MaskedDepthwiseConv2D
from keras_tinytrain.network import Network

BYTES = 4  # float32
# Batch at which the paper counts the memory of training all weights.
FULL_BATCH = 100


def layer_costs(model, *, cost_model: str = "arena") -> LayerCosts:
    """Counts parameters, MACs and bytes of each layer, for one sample.

    The `"paper"` model reproduces the published table: memory is the peak of
    the forward pass (the largest input plus output of a layer, a depthwise
    layer computed in place) plus 16 bytes per trained weight.

    The `"arena"` model counts what the device has to hold: trained slices of
    kernel and bias with gradient and Adam moments, the inputs that their
    gradients need, one bit per clamped activation, and the gradients in
    flight. It is an estimate until the device engine exists.

    Args:
        model: A wrapped model.
        cost_model: `"arena"` or `"paper"`.

    Returns:
        The `LayerCosts`, one `LayerCost` per trainable layer in order.

    Raises:
        ValueError: If the cost model is unknown or the model has no fixed
            input size.

    Reference:
        - [TinyTrain](https://arxiv.org/abs/2307.09988), table 2; the
          formulas were found by matching its cells.
    """
    if cost_model not in ("arena", "paper"):
        raise ValueError(
            "Expected cost_model to be 'arena' or 'paper'. Received: "
            f"cost_model={cost_model!r}"
        )
    network: Network = model.network
    shapes = {0: network.input_shape}
    layers, peak = [], 0
    for op in network.ops:
        shapes[op.output] = op.shape
        if op.name not in network.layers:
            continue
        cost = _layer_cost(op, network, shapes[op.inputs[0]])
        in_place = 0 if cost.per_channel_input else cost.output_bytes
        peak = max(peak, cost.input_bytes + in_place)
        layers.append(cost)
    return LayerCosts(tuple(layers), peak, cost_model)


def _layer_cost(op, network: Network, input_shape) -> LayerCost:
    if None in (*op.shape[1:], *input_shape[1:]):
        raise ValueError(
            "Expected a model with a fixed input size. Received: layer "
            f"{op.name!r} with output shape {op.shape}. Build the model with "
            "the image size of the task."
        )
    layer = network.layers[op.name]
    weights = math.prod(layer.kernel_shape)
    return LayerCost(
        name=op.name,
        channels=layer.size,
        weights=weights,
        biases=layer.size if layer.use_bias else 0,
        macs=weights * math.prod(op.shape[1:-1]),
        input_bytes=BYTES * math.prod(input_shape[1:]),
        output_bytes=BYTES * math.prod(op.shape[1:]),
        per_channel_input=isinstance(layer, MaskedDepthwiseConv2D),
        inputs=layer.input_size,
    )


def full_train_bytes(model) -> int:
    """Counts the memory of training all weights as the paper does.

    At a batch of 100 the input and the output of every layer with weights
    and the output of every activation are stored, in float32; and 16 bytes
    per weight. This is within 0.4 % of the published numbers.

    Args:
        model: A wrapped model with a fixed input size.
    """
    network: Network = model.network
    size = {0: math.prod(network.input_shape[1:])}
    stored = weights = 0
    for op in network.ops:
        size[op.output] = math.prod(op.shape[1:])
        source = size[op.inputs[0]] if op.inputs else 0
        if op.name in network.layers:
            layer = network.layers[op.name]
            weights += math.prod(layer.kernel_shape)
            stored += source + size[op.output]
            if layer.layer.activation is not keras.activations.linear:
                stored += size[op.output]
        elif isinstance(op.operation, keras.layers.ZeroPadding2D):
            # The published nets pad inside the convolution.
            size[op.output] = source
        elif isinstance(
            op.operation, (keras.layers.ReLU, keras.layers.Activation)
        ):
            stored += size[op.output]
    return BYTES * FULL_BATCH * stored + BYTES_PER_TRAINED_WEIGHT * weights
