"""Writes a wrapped network as the operations that a device knows."""

from __future__ import annotations

import dataclasses
import math

import keras

# Importing it makes the layers of Keras known.
from keras_tinytrain import layer_lowering  # noqa: F401
from keras_tinytrain.device_graph import DeviceOp, Graph, numbered
from keras_tinytrain.graph import Op
from keras_tinytrain.lowering import Lowering
from keras_tinytrain.masked_layers import MaskedDepthwiseConv2D
from keras_tinytrain.network import Network

# Kinds whose kernels clamp their output themselves.
_CLAMPING = ("conv2d", "depthwise_conv2d", "dense", "add")


def lower(network: Network) -> Graph:
    """Lowers all operations up to the features that the head reads.

    Padding and activations become part of the convolutions, flattening and
    dropout disappear, longer sums become sums of two.

    Raises:
        ValueError: If an operation is not supported, with its name, or the
            model has no fixed input size.
    """
    lowering = Lowering(network)
    for op in _needed(network):
        lowering.add(op)
    features = lowering.read(network.features, "the head")
    ops = _merge_activations(lowering.ops, features)
    if not ops:
        raise ValueError("Expected a model that computes. Received: none")
    shapes = {0: network.input_shape}
    shapes |= {op.output: op.shape for op in network.ops}
    is_vector = len(shapes[network.features]) == 2
    return numbered(
        lowering.shapes[lowering.first],
        ops,
        is_vector=is_vector,
        boundary=lowering.first,
        stored=lowering.stored[lowering.first],
    )


def _needed(network: Network) -> list[Op]:
    """Lists the operations that lead to the features."""
    needed, ops = {network.features}, []
    for op in reversed(network.ops):
        if op.output in needed:
            needed.update(op.inputs)
            ops.append(op)
    return ops[::-1]


def _merge_activations(ops: list[DeviceOp], features: int) -> list[DeviceOp]:
    """Moves activations into the operation whose output they alone read."""
    reads = [i for op in ops for i in op.inputs] + [features]
    merged: dict[int, DeviceOp] = {}
    for op in ops:
        source = merged.get(op.inputs[0])
        if (
            op.kind == "activation"
            and source is not None
            and source.kind in _CLAMPING
            and source.activation == "none"
            and reads.count(source.output) == 1
        ):
            # Named by the layer, whose output it still is.
            op = dataclasses.replace(
                source, activation=op.activation, output=op.output
            )
            del merged[source.output]
        merged[op.output] = op
    return list(merged.values())


def approximate(network: Network) -> Graph:
    """Writes all operations as if a device knew each of them.

    What is no layer with weights is one of kind `"other"`: it keeps nothing
    and computes nothing in place.
    """
    numbers = {0: 0}
    ops = []
    for i, op in enumerate(network.ops):
        layer = network.layers.get(op.name)
        kind, kernel, activation = "other", (1, 1), "none"
        if layer is not None:
            depthwise = isinstance(layer, MaskedDepthwiseConv2D)
            kind = "depthwise_conv2d" if depthwise else "conv2d"
            kernel = tuple(getattr(layer.layer, "kernel_size", kernel))
            if layer.layer.activation is not keras.activations.linear:
                activation = "relu"
        *positions, channels = op.shape[1:]
        if len(positions) != 2:
            positions = 1, math.prod(positions)
        ops.append(
            DeviceOp(
                op.name,
                kind,
                tuple(numbers[t] for t in op.inputs),
                i + 1,
                (*positions, channels),
                activation,
                kernel,
                layer=None if layer is None else op.name,
            )
        )
        numbers[op.output] = i + 1
        if op.output == network.features:
            break
    return Graph(
        tuple(network.input_shape[1:]),
        tuple(ops),
        cut="",
        is_vector=len(op.shape) == 2,
        sources=tuple(numbers),
    )
