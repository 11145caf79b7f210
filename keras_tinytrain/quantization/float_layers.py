"""Keras layers of the float part behind an int8 prefix."""

from __future__ import annotations

from typing import Any

from keras import layers

from keras_tinytrain.device_graph import DeviceOp
from keras_tinytrain.masked_layers import MaskedDense, MaskedDepthwiseConv2D
from keras_tinytrain.masking import Masked

_ACTIVATIONS = {"none": None, "relu": "relu", "relu6": "relu6"}


def weighted_layer(
    op: DeviceOp, masked: Masked, padding: str, name: str
) -> layers.Layer:
    """Returns a plain layer like one of the network, without its weights.

    Args:
        op: The operation.
        masked: The layer of the network.
        padding: `"valid"` or `"same"`.
        name: Its name.
    """
    common = {
        "activation": _ACTIVATIONS[op.activation],
        "use_bias": masked.use_bias,
        "name": name,
    }
    if isinstance(masked, MaskedDense):
        return layers.Dense(op.shape[2], **common)
    common |= {"strides": op.strides, "padding": padding}
    if isinstance(masked, MaskedDepthwiseConv2D):
        return layers.DepthwiseConv2D(op.kernel, **common)
    return layers.Conv2D(op.shape[2], op.kernel, **common)


def weightless(op: DeviceOp, tensors: list[Any], name: str) -> Any:
    """Applies an operation without weights; returns its output."""
    if op.kind == "add":
        x = layers.Add(name=name)(tensors)
        if op.activation == "none":
            return x
        return layers.ReLU(_limit(op), name=f"{name}_{op.activation}")(x)
    (x,) = tensors
    if op.kind == "global_average_pool":
        return layers.GlobalAveragePooling2D(name=name)(x)
    if op.kind == "activation":
        return layers.ReLU(_limit(op), name=name)(x)
    if op.kind == "rescale":
        return layers.Rescaling(op.factor, op.summand, name=name)(x)
    pools = {
        "average_pool": layers.AveragePooling2D,
        "max_pool": layers.MaxPooling2D,
    }
    padding = "same" if any(op.padding) else "valid"
    window = op.kernel, op.strides
    return pools[op.kind](*window, padding=padding, name=name)(x)


def _limit(op: DeviceOp) -> float | None:
    return 6.0 if op.activation == "relu6" else None
