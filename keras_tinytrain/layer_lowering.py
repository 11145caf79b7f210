"""The layers of Keras as the operations that a device knows."""

from __future__ import annotations

import math

from keras import layers

from keras_tinytrain.graph import Op
from keras_tinytrain.lowering import (
    MAX_CHANNELS,
    Lowering,
    activation_name,
    map_shape,
    refusal,
    register_lowering,
)
from keras_tinytrain.masked_layers import MaskedDense, MaskedDepthwiseConv2D
from keras_tinytrain.masking import Masked
from keras_tinytrain.paddings import same_padding, total

# Positions of a window of max pooling, of which a device keeps the largest's.
MAX_POOLED = 256


def _weighted(lowering: Lowering, op: Op, layer: Masked) -> None:
    activation = activation_name(op, layer.layer.activation)
    fields = {"activation": activation, "layer": op.name}
    source = op.inputs[0]
    if isinstance(layer, MaskedDense):
        kind = "conv2d" if len(op.shape) == 4 else "dense"
        if layer.input_size > MAX_CHANNELS:
            raise ValueError(refusal(op, f"{layer.input_size:,} inputs"))
        return lowering.emit(
            op, kind, (lowering.read(source, op.name),), **fields
        )
    depthwise = isinstance(layer, MaskedDepthwiseConv2D)
    if depthwise and layer.layer.depth_multiplier > 1:
        multiplier = layer.layer.depth_multiplier
        raise ValueError(refusal(op, f"depth_multiplier={multiplier}"))
    kind = "depthwise_conv2d" if depthwise else "conv2d"
    source, padding = lowering.padded.get(source, (source, (0, 0, 0, 0)))
    source = lowering.same[source]
    kernel = tuple(layer.layer.kernel_size)
    strides = tuple(layer.layer.strides)
    if layer.layer.padding == "same":
        shape = lowering.shapes[source][:2]
        shape = shape[0] + sum(padding[:2]), shape[1] + sum(padding[2:])
        padding = total(padding, same_padding(shape, kernel, strides))
    limits = kernel[0], kernel[0], kernel[1], kernel[1]
    if any(p >= k for p, k in zip(padding, limits)):
        raise ValueError(
            f"Expected padding smaller than the kernel of layer "
            f"{op.name!r}. Received: top, bottom, left, right of "
            f"{padding} for a kernel of {kernel}"
        )
    return lowering.emit(
        op,
        kind,
        (source,),
        kernel=kernel,
        strides=strides,
        padding=padding,
        **fields,
    )


def _nothing(lowering: Lowering, op: Op, layer: layers.Layer) -> None:
    lowering.same[op.output] = lowering.read(op.inputs[0], op.name)


def _pad(lowering: Lowering, op: Op, layer: layers.ZeroPadding2D) -> None:
    source, before = lowering.padded.get(
        op.inputs[0], (op.inputs[0], (0, 0, 0, 0))
    )
    (top, bottom), (left, right) = layer.padding
    padding = total(before, (top, bottom, left, right))
    lowering.padded[op.output] = source, padding


def _relu(lowering: Lowering, op: Op, layer: layers.ReLU) -> None:
    clamp = {None: "relu", 6.0: "relu6"}.get(layer.max_value)
    if clamp is None or layer.negative_slope or layer.threshold:
        raise ValueError(refusal(op, "another shape than ReLU and ReLU6"))
    source = lowering.read(op.inputs[0], op.name)
    lowering.emit(op, "activation", (source,), activation=clamp)


def _activation(lowering: Lowering, op: Op, layer: layers.Activation) -> None:
    name = activation_name(op, layer.activation)
    if name == "none":
        return _nothing(lowering, op, layer)
    source = lowering.read(op.inputs[0], op.name)
    return lowering.emit(op, "activation", (source,), activation=name)


def _add(lowering: Lowering, op: Op, layer: layers.Add) -> None:
    inputs = [lowering.read(i, op.name) for i in op.inputs]
    shapes = {lowering.shapes[i] for i in inputs}
    if shapes != {map_shape(op)}:
        raise ValueError(refusal(op, f"inputs of the shapes {shapes}"))
    sum_ = inputs[0]
    for more in inputs[1:-1]:
        lowering.emit(op, "add", (sum_, more), output=lowering.spare)
        sum_, lowering.spare = lowering.spare, lowering.spare + 1
    lowering.emit(op, "add", (sum_, inputs[-1]))


def _global_pool(lowering: Lowering, op: Op, layer) -> None:
    source = lowering.read(op.inputs[0], op.name)
    lowering.emit(op, "global_average_pool", (source,))


def _pool(lowering: Lowering, op: Op, layer) -> None:
    is_max = isinstance(layer, layers.MaxPooling2D)
    window = tuple(layer.pool_size)
    if is_max and math.prod(window) > MAX_POOLED:
        raise ValueError(refusal(op, f"a window of {window}"))
    lowering.pool(op, layer, "max_pool" if is_max else "average_pool")


def _rescale(lowering: Lowering, op: Op, layer: layers.Rescaling) -> None:
    if not all(isinstance(v, (int, float)) for v in _affine(layer)):
        raise ValueError(refusal(op, "a factor or summand per channel"))
    source = lowering.read(op.inputs[0], op.name)
    factor, summand = _affine(layer)
    lowering.emit(op, "rescale", (source,), factor=factor, summand=summand)


def _affine(layer: layers.Rescaling) -> tuple:
    return layer.scale, layer.offset


for _layer, _function in {
    Masked: _weighted,
    layers.Activation: _activation,
    layers.Add: _add,
    layers.AveragePooling2D: _pool,
    layers.Dropout: _nothing,
    layers.Flatten: _nothing,
    layers.GlobalAveragePooling2D: _global_pool,
    layers.Identity: _nothing,
    layers.MaxPooling2D: _pool,
    layers.ReLU: _relu,
    layers.Rescaling: _rescale,
    layers.SpatialDropout2D: _nothing,
    layers.ZeroPadding2D: _pad,
}.items():
    register_lowering(_layer, _function)
