"""What each layer of a wrapped model costs to train."""

from __future__ import annotations

import dataclasses
import math

import keras

from keras_tinytrain.arena import Arena
from keras_tinytrain.budget import (
    BYTES_PER_TRAINED_WEIGHT,
    LayerCost,
    LayerCosts,
)
from keras_tinytrain.device_graph import Graph
from keras_tinytrain.lower import approximate, lower
from keras_tinytrain.masked_layers import MaskedDepthwiseConv2D
from keras_tinytrain.network import Network
from keras_tinytrain.plan import UpdatePlan

BYTES = 4  # float32
# Batch at which the paper counts the memory of FullTrain and TinyTL.
FULL_BATCH = 100
# Classes that a device is counted for.
WAY = 10


def layer_costs(
    model,
    *,
    cost_model: str = "arena",
    way: int = WAY,
    first: str | None = None,
) -> LayerCosts:
    """Counts parameters, MACs and bytes of each layer, for one sample.

    The `"paper"` model reproduces the published table: memory is the peak of
    the forward pass (the largest input plus output of a layer, a depthwise
    layer computed in place) plus 16 bytes per trained weight.

    The `"arena"` model is exact: the bytes of both memory regions that the
    device engine's planner places for training with Adam, head and the
    engine's own tables included. Operations that the device lacks are counted
    as if it had them. The sample is not counted: it is read where it lies, in
    flash or RAM.

    Args:
        model: A wrapped model.
        cost_model: `"arena"` or `"paper"`.
        way: Number of classes of a task, for the head of the device. The
            paper model counts no head.
        first: Name of the layer from which on the device has the network,
            as `export_micro` cuts it. None: from the first layer that trains
            on, which takes the least.

    Returns:
        The `LayerCosts`, one `LayerCost` per trainable layer in order.

    Raises:
        ValueError: If the cost model or the layer is unknown, or the model
            has no fixed input size.

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
    names = [cost.name for cost in layers]
    if first is not None and first not in names:
        raise ValueError(
            f"Expected the name of a layer of {names}. Received: "
            f"first={first!r}"
        )
    if cost_model == "paper":
        return LayerCosts(tuple(layers), peak, cost_model)
    device = Arena(
        _device_graph(network), names, head=model.head, way=way, first=first
    )
    layers = tuple(
        dataclasses.replace(cost, input_bytes=device.input_bytes(i))
        for i, cost in enumerate(layers)
    )
    return LayerCosts(layers, peak, cost_model, device)


def _device_graph(network: Network) -> Graph:
    """Returns the network as a device runs it, or nearly so."""
    try:
        return lower(network)
    except ValueError:
        return approximate(network)


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
        is_quantized=layer.is_quantized,
    )


def batch_train_bytes(model, plan: UpdatePlan) -> int:
    """Counts the memory of training at a batch of 100, as the paper does.

    Stored in float32 are the input and the output of every layer of which
    weights train, and the output of every activation that a gradient passes;
    or at least there is the forward pass. Trained weights take 16 bytes.
    For FullTrain this is within 0.4 % of the published numbers.

    Args:
        model: A wrapped model with a fixed input size.
        plan: What trains.
    """
    network: Network = model.network
    trained = {layer.name for layer in plan.layers if layer.trained_weights}
    passed = network.behind({layer.name for layer in plan.layers})
    size = {0: math.prod(network.input_shape[1:])}
    stored = 0
    for op in network.ops:
        size[op.output] = math.prod(op.shape[1:])
        source = size[op.inputs[0]] if op.inputs else 0
        if isinstance(op.operation, keras.layers.ZeroPadding2D):
            # The published nets pad inside the convolution.
            size[op.output] = source
        if op.name in trained:
            stored += source + size[op.output]
        if _is_activation(op) and op.output in passed:
            stored += size[op.output]
    forward = layer_costs(model, cost_model="paper").peak_bytes
    return (
        FULL_BATCH * max(BYTES * stored, forward)
        + BYTES_PER_TRAINED_WEIGHT * plan.trained_weights
    )


def backward_macs(model, plan: UpdatePlan) -> int:
    """Counts the backward MACs of one sample in a network with branches.

    `UpdatePlan.macs` takes every layer behind the first trained one for one
    that passes a gradient on. Here it is only those that are fed by a layer
    of which weights train; under the paper model gradients that reach biases
    alone do not count.

    Args:
        model: A wrapped model with a fixed input size.
        plan: What trains.
    """
    network: Network = model.network
    weights = {layer.name: layer.trained_weights for layer in plan.layers}
    passed = network.behind({name for name in weights if weights[name]})
    macs = 0
    for cost in layer_costs(model, cost_model="paper"):
        op = network.ops[network.position[cost.name]]
        if not passed.isdisjoint(op.inputs):
            macs += cost.macs
        macs += cost.macs * weights.get(cost.name, 0) // cost.weights
    return macs


def _is_activation(op) -> bool:
    """Tells whether an operation is an activation, or ends in one."""
    layer = getattr(op.operation, "layer", op.operation)
    if isinstance(layer, (keras.layers.ReLU, keras.layers.Activation)):
        return True
    linear = keras.activations.linear
    return getattr(layer, "activation", linear) is not linear
