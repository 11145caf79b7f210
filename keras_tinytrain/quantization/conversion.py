"""Builds the Keras model of an int8 graph."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_tinytrain.device_graph import DeviceOp, Graph
from keras_tinytrain.masked_layers import MaskedDense, MaskedDepthwiseConv2D
from keras_tinytrain.masking import Masked
from keras_tinytrain.network import Network
from keras_tinytrain.paddings import same_padding
from keras_tinytrain.quantization.float_layers import (
    weighted_layer,
    weightless,
)
from keras_tinytrain.quantization.layers import (
    Dequantize,
    Int8Add,
    Int8AveragePooling2D,
    Int8Clamp,
    Int8GlobalAveragePooling2D,
    Quantize,
)
from keras_tinytrain.quantization.scales import (
    Quantization,
    quantize_weights,
)
from keras_tinytrain.quantization.weighted_layers import (
    Int8Conv2D,
    Int8Dense,
    Int8DepthwiseConv2D,
)


@dataclasses.dataclass(frozen=True)
class Weights:
    """Real weights of a layer, and their scales if these are given.

    Attributes:
        kernel: `(..., channels)`.
        bias: `(channels,)`.
        scale: `(channels,)`, or None.
    """

    kernel: np.ndarray
    bias: np.ndarray
    scale: np.ndarray | None = None


def weights_of(network: Network) -> dict[str, Weights]:
    """Returns the weights of all layers, with what has been trained."""
    return {
        name: Weights(*(v.numpy() for v in la.replaced(la.slices())))
        for name, la in network.layers.items()
    }


# Kinds whose output is stored as their input is.
_SAME_SCALE = (
    "activation",
    "average_pool",
    "global_average_pool",
    "max_pool",
)


def build_int8(
    network: Network,
    graph: Graph,
    quantizations: list[Quantization],
    weights: dict[str, Weights],
    name: str,
    *,
    stop: int | None = None,
) -> keras.Model:
    """Builds the int8 model of a network.

    Layers keep their names, with dots for the slashes of nested models. The
    model takes what the network does and returns real values again.

    Args:
        network: The float network.
        graph: What `lower` made of it.
        quantizations: Quantization of each tensor of `graph`. Pooling and
            activations take that of their input.
        weights: Weights of its layers.
        name: Name of the model.
        stop: First operation of `graph` that stays float; all are int8 when
            None. One tensor alone passes in front of it.

    Raises:
        ValueError: If an operation cannot be done in int8, or a scale or an
            accumulator is out of range, with the name of the layer.
    """
    building = _Building(network, graph, quantizations, weights)
    for op in graph.ops[:stop]:
        building.add(op)
    for op in graph.ops[len(graph.ops) if stop is None else stop :]:
        building.add_float(op)
    image = building.image
    output = building.real(len(graph.ops))
    if graph.is_vector and len(output.shape) == 4:
        output = layers.Flatten(name="flat")(output)
    if network.features != network.output:
        # The head pools the features itself; alone the model does it here.
        last = network.ops[-1]
        output = _copy(last.operation)(output)
    return keras.Model(image, output, name=name)


class _Building:
    """The tensors so far, and how they are stored."""

    def __init__(
        self,
        network: Network,
        graph: Graph,
        quantizations: list[Quantization],
        weights: dict[str, Weights],
    ) -> None:
        self.network = network
        self.graph = graph
        self.weights = weights
        self.wanted = quantizations
        self.image = keras.Input(graph.input_shape, name="image")
        self.tensors = {0: self.image}
        # Of the tensors that are integers.
        self.stored: dict[int, Quantization] = {}

    def name(self, op: DeviceOp) -> str:
        """Returns the name of an operation as a layer."""
        name = op.name.replace("/", ".")
        # All parts of a long sum have its name, which the last one keeps.
        again = any(o.name == op.name for o in self.graph.ops[op.output :])
        return f"{name}_{op.output}" if again else name

    def integers(self, tensor: int) -> tuple[Any, Quantization]:
        """Returns a tensor in int8, and how it is stored."""
        if tensor not in self.stored:
            # It is the image, or what a Rescaling made of it; rarely both.
            name = f"quantize_{tensor}" if self.stored else "quantize"
            layer = Quantize(self.wanted[tensor], name=name)
            self.tensors[tensor] = layer(self.tensors[tensor])
            self.stored[tensor] = self.wanted[tensor]
        return self.tensors[tensor], self.stored[tensor]

    def real(self, tensor: int) -> Any:
        """Returns a tensor as real values."""
        if tensor in self.stored:
            layer = Dequantize(self.stored.pop(tensor), name="dequantize")
            self.tensors[tensor] = layer(self.tensors[tensor])
        return self.tensors[tensor]

    def add_float(self, op: DeviceOp) -> None:
        """Adds the float layers of an operation."""
        tensors = [self.real(i) for i in op.inputs]
        if not op.layer:
            x = weightless(op, tensors, self.name(op))
            self.tensors[op.output] = x
            return
        masked, (x,) = self.network.layers[op.layer], tensors
        padding = "valid"
        if not isinstance(masked, MaskedDense):
            x, padding = self._padded(x, op)
        elif op.kind == "dense" and len(x.shape) == 4:
            x = layers.Flatten(name=f"{self.name(op)}_flat")(x)
        layer = weighted_layer(op, masked, padding, self.name(op))
        self.tensors[op.output] = layer(x)
        found = self.weights[op.layer]
        weights = [found.kernel, found.bias][: 1 + masked.use_bias]
        for variable, value in zip(layer.weights, weights):
            variable.assign(value.reshape(variable.shape))

    def add(self, op: DeviceOp) -> None:
        """Adds the layers of an operation."""
        if op.kind == "rescale":
            if op.inputs[0] in self.stored:
                raise ValueError(
                    "Expected Rescaling in front of all other layers. "
                    f"Received: {op.name!r} behind some of them"
                )
            layer = layers.Rescaling(op.factor, op.summand, name=self.name(op))
            self.tensors[op.output] = layer(self.tensors[op.inputs[0]])
            return
        pairs = [self.integers(i) for i in op.inputs]
        x, source = pairs[0]
        to = source if op.kind in _SAME_SCALE else self.wanted[op.output]
        if op.layer:
            x = self._weighted(op, x, source, to)
        elif op.kind == "add":
            layer = Int8Add(
                to,
                summands=[stored for _, stored in pairs],
                activation=op.activation,
                name=self.name(op),
            )
            x = layer([tensor for tensor, _ in pairs])
        else:
            x = self._weightless(op, to)(x)
        self.tensors[op.output] = x
        self.stored[op.output] = to

    def _weighted(
        self, op: DeviceOp, x: Any, source: Quantization, to: Quantization
    ) -> Any:
        masked: Masked = self.network.layers[op.layer]
        found = self.weights[op.layer]
        kernel, bias, scale = quantize_weights(
            found.kernel,
            found.bias,
            source,
            to,
            terms=math.prod(masked.kernel_shape[:-1]),
            scale=found.scale,
        )
        own = {
            "source": source,
            "kernel_scale": scale,
            "activation": op.activation,
            "name": self.name(op),
        }
        if isinstance(masked, MaskedDense):
            layer = Int8Dense(to, **own)
            if op.kind == "dense" and len(x.shape) == 4:
                x = layers.Flatten(name=f"{self.name(op)}_flat")(x)
        else:
            depthwise = isinstance(masked, MaskedDepthwiseConv2D)
            kind = Int8DepthwiseConv2D if depthwise else Int8Conv2D
            x, padding = self._padded(x, op)
            layer = kind(
                to,
                kernel_size=op.kernel,
                strides=op.strides,
                padding=padding,
                **own,
            )
        output = layer(x)
        layer.kernel.assign(kernel.reshape(layer.kernel.shape))
        layer.bias.assign(bias)
        return output

    def _padded(self, x: Any, op: DeviceOp) -> tuple[Any, str]:
        """Pads the input of a convolution, unless this can do so itself."""
        shape = self.graph.shapes[op.inputs[0]][:2]
        if not any(op.padding):
            return x, "valid"
        if op.padding == same_padding(shape, op.kernel, op.strides):
            return x, "same"
        top, bottom, left, right = op.padding
        sides = (top, bottom), (left, right)
        return layers.ZeroPadding2D(sides, name=f"{self.name(op)}_pad")(
            x
        ), "valid"

    def _weightless(self, op: DeviceOp, to: Quantization) -> layers.Layer:
        if op.kind == "global_average_pool":
            return Int8GlobalAveragePooling2D(to, name=self.name(op))
        if op.kind == "activation":
            return Int8Clamp(to, activation=op.activation, name=self.name(op))
        window = {
            "pool_size": op.kernel,
            "strides": op.strides,
            "padding": "same" if any(op.padding) else "valid",
            "name": self.name(op),
        }
        if op.kind == "max_pool":
            return layers.MaxPooling2D(**window)
        return Int8AveragePooling2D(to, **window)


def _copy(layer: layers.Layer) -> layers.Layer:
    return type(layer).from_config(layer.get_config())
