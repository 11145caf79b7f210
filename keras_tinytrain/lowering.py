"""Writes a wrapped network as the operations that a device knows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import keras
from keras import layers

from keras_tinytrain.device_graph import (
    DeviceOp,
    Graph,
    Shape,
    Stored,
    numbered,
)
from keras_tinytrain.graph import Op
from keras_tinytrain.masked_layers import MaskedDense, MaskedDepthwiseConv2D
from keras_tinytrain.masking import Masked
from keras_tinytrain.network import Network
from keras_tinytrain.paddings import (
    Padding,
    no_padding,
    same_padding,
    total,
)

# What the fields and kernels of a device hold.
MAX_SIDE, MAX_CHANNELS, MAX_SIZE = 2**14, 2**16 - 1, 2**29 - 1
MAX_POOLED = 256

SUPPORTED = (
    "Conv2D, DepthwiseConv2D, Dense, Add, ReLU and ReLU6, "
    "GlobalAveragePooling2D, AveragePooling2D, MaxPooling2D, ZeroPadding2D in "
    "front of a convolution, Flatten, scalar Rescaling and Dropout"
)
_ACTIVATIONS = {
    keras.activations.linear: "none",
    keras.activations.relu: "relu",
    keras.activations.relu6: "relu6",
}
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


def register_lowering(layer: type, function: Callable) -> None:
    """Makes `lower` know a kind of layer.

    Args:
        layer: Class of the layers.
        function: Called with a `Lowering`, the operation and its layer.
    """
    _LOWER[layer] = function


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


class Lowering:
    """What has been lowered so far.

    Args:
        network: The network.

    Attributes:
        ops: The operations, with the network's numbers of tensors.
        shapes: Shapes of the tensors.
        stored: How they are stored.
        first: Number of the tensor that the device begins with.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.ops: list[DeviceOp] = []
        shape = network.input_shape[1:]
        if len(shape) != 3 or None in shape:
            raise ValueError(
                "Expected a model of images with a fixed size. Received: "
                f"input shape {network.input_shape}. Build it with the image "
                "size of the task."
            )
        self.shapes: dict[int, Shape] = {0: tuple(shape)}
        self.stored: dict[int, Stored] = {0: None}
        self.first = 0
        # Tensors that are another one on the device, and how it is padded.
        self.same: dict[int, int] = {0: 0}
        self.padded: dict[int, tuple[int, Padding]] = {}
        # Helper tensors of longer sums are numbered behind all others.
        self.spare = 1 + max(op.output for op in network.ops)

    def read(self, tensor: int, reader: str) -> int:
        """Returns the device's number of a tensor that is not padded."""
        if tensor in self.padded:
            raise ValueError(
                "Expected ZeroPadding2D in front of Conv2D or "
                f"DepthwiseConv2D alone. Received: {reader} reads a padded "
                "tensor"
            )
        if tensor not in self.same:
            raise ValueError(
                "Expected int8 layers alone behind the quantized image. "
                f"Received: {reader}, which reads what lies in front of it"
            )
        return self.same[tensor]

    def add(self, op: Op) -> None:
        """Lowers one operation."""
        layer = op.operation
        kind = type(layer)
        data_format = getattr(layer, "data_format", None)
        if data_format == "channels_first":
            raise ValueError(refusal(op, f"data_format={data_format!r}"))
        if isinstance(layer, Masked):
            self._weighted(op, layer)
        elif kind in _LOWER:
            _LOWER[kind](self, op, layer)
        else:
            raise ValueError(refusal(op))

    def emit(self, op: Op, kind: str, inputs: tuple[int, ...], **fields):
        """Appends the operation that writes the output of `op`."""
        output = fields.pop("output", op.output)
        # A vector may be the map that was flattened, which is no operation.
        same = kind in ("activation", "rescale")
        shape = self.shapes[inputs[0]] if same else _shape(op)
        quantization = getattr(layer_of(op), "quantization", None)
        stored = self.stored[inputs[0]]
        if kind == "dequantize":
            stored = None
        elif quantization is not None:
            stored = quantization.scale, quantization.zero_point
        device = DeviceOp(
            *(op.name, kind, inputs, output, shape), stored=stored, **fields
        )
        sides = *shape[:2], *device.kernel, *device.strides
        if (
            max(sides) > MAX_SIDE
            or shape[2] > MAX_CHANNELS
            or math.prod(shape) > MAX_SIZE
        ):
            raise ValueError(
                f"Expected heights, widths, kernels and strides to "
                f"{MAX_SIDE}, channels to {MAX_CHANNELS} and tensors to "
                f"{MAX_SIZE} numbers. Received: {device}"
            )
        self.ops.append(device)
        self.same[output] = output
        self.shapes[output] = device.shape
        self.stored[output] = stored

    def begin(self, op: Op, stored: Stored) -> None:
        """Lets the device begin with the output of `op`.

        Args:
            op: The operation; in front of it are rescalings alone.
            stored: How its output is stored.
        """
        if self.first or any(o.kind != "rescale" for o in self.ops):
            raise ValueError(refusal(op, "layers other than Rescaling before"))
        self.ops.clear()
        self.first = op.output
        self.same = {op.output: op.output}
        self.shapes[op.output] = _shape(op)
        self.stored[op.output] = stored

    def _weighted(self, op: Op, layer: Masked) -> None:
        activation = activation_name(op, layer.layer.activation)
        fields = {"activation": activation, "layer": op.name}
        source = op.inputs[0]
        if isinstance(layer, MaskedDense):
            kind = "conv2d" if len(op.shape) == 4 else "dense"
            if layer.input_size > MAX_CHANNELS:
                raise ValueError(refusal(op, f"{layer.input_size:,} inputs"))
            return self.emit(op, kind, (self.read(source, op.name),), **fields)
        depthwise = isinstance(layer, MaskedDepthwiseConv2D)
        if depthwise and layer.layer.depth_multiplier > 1:
            multiplier = layer.layer.depth_multiplier
            raise ValueError(refusal(op, f"depth_multiplier={multiplier}"))
        kind = "depthwise_conv2d" if depthwise else "conv2d"
        source, padding = self.padded.get(source, (source, (0, 0, 0, 0)))
        source = self.same[source]
        kernel = tuple(layer.layer.kernel_size)
        strides = tuple(layer.layer.strides)
        if layer.layer.padding == "same":
            shape = self.shapes[source][:2]
            shape = shape[0] + sum(padding[:2]), shape[1] + sum(padding[2:])
            padding = total(padding, same_padding(shape, kernel, strides))
        limits = kernel[0], kernel[0], kernel[1], kernel[1]
        if any(p >= k for p, k in zip(padding, limits)):
            raise ValueError(
                f"Expected padding smaller than the kernel of layer "
                f"{op.name!r}. Received: top, bottom, left, right of "
                f"{padding} for a kernel of {kernel}"
            )
        return self.emit(
            op,
            kind,
            (source,),
            kernel=kernel,
            strides=strides,
            padding=padding,
            **fields,
        )

    def _nothing(self, op: Op, layer: layers.Layer) -> None:
        self.same[op.output] = self.read(op.inputs[0], op.name)

    def _pad(self, op: Op, layer: layers.ZeroPadding2D) -> None:
        source, before = self.padded.get(
            op.inputs[0], (op.inputs[0], (0, 0, 0, 0))
        )
        (top, bottom), (left, right) = layer.padding
        padding = total(before, (top, bottom, left, right))
        self.padded[op.output] = source, padding

    def _relu(self, op: Op, layer: layers.ReLU) -> None:
        clamp = {None: "relu", 6.0: "relu6"}.get(layer.max_value)
        if clamp is None or layer.negative_slope or layer.threshold:
            raise ValueError(refusal(op, "another shape than ReLU and ReLU6"))
        source = self.read(op.inputs[0], op.name)
        self.emit(op, "activation", (source,), activation=clamp)

    def _activation(self, op: Op, layer: layers.Activation) -> None:
        name = activation_name(op, layer.activation)
        if name == "none":
            return self._nothing(op, layer)
        source = self.read(op.inputs[0], op.name)
        return self.emit(op, "activation", (source,), activation=name)

    def _add(self, op: Op, layer: layers.Add) -> None:
        inputs = [self.read(i, op.name) for i in op.inputs]
        shapes = {self.shapes[i] for i in inputs}
        if shapes != {_shape(op)}:
            raise ValueError(refusal(op, f"inputs of the shapes {shapes}"))
        sum_ = inputs[0]
        for more in inputs[1:-1]:
            self.emit(op, "add", (sum_, more), output=self.spare)
            sum_, self.spare = self.spare, self.spare + 1
        self.emit(op, "add", (sum_, inputs[-1]))

    def _global_pool(self, op: Op, layer) -> None:
        source = self.read(op.inputs[0], op.name)
        self.emit(op, "global_average_pool", (source,))

    def _pool(self, op: Op, layer) -> None:
        is_max = isinstance(layer, layers.MaxPooling2D)
        window = tuple(layer.pool_size)
        if is_max and math.prod(window) > MAX_POOLED:
            raise ValueError(refusal(op, f"a window of {window}"))
        self.pool(op, layer, "max_pool" if is_max else "average_pool")

    def pool(self, op: Op, layer, kind: str) -> None:
        """Appends a pooling of windows."""
        source = self.read(op.inputs[0], op.name)
        window, strides = tuple(layer.pool_size), tuple(layer.strides)
        pad = same_padding if layer.padding == "same" else no_padding
        self.emit(
            op,
            kind,
            (source,),
            kernel=window,
            strides=strides,
            padding=pad(self.shapes[source][:2], window, strides),
        )

    def _rescale(self, op: Op, layer: layers.Rescaling) -> None:
        if not all(isinstance(v, (int, float)) for v in _affine(layer)):
            raise ValueError(refusal(op, "a factor or summand per channel"))
        source = self.read(op.inputs[0], op.name)
        factor, summand = _affine(layer)
        self.emit(op, "rescale", (source,), factor=factor, summand=summand)


_LOWER: dict[type, Callable] = {
    layers.Activation: Lowering._activation,
    layers.Add: Lowering._add,
    layers.AveragePooling2D: Lowering._pool,
    layers.Dropout: Lowering._nothing,
    layers.Flatten: Lowering._nothing,
    layers.GlobalAveragePooling2D: Lowering._global_pool,
    layers.Identity: Lowering._nothing,
    layers.MaxPooling2D: Lowering._pool,
    layers.ReLU: Lowering._relu,
    layers.Rescaling: Lowering._rescale,
    layers.SpatialDropout2D: Lowering._nothing,
    layers.ZeroPadding2D: Lowering._pad,
}


def refusal(op: Op, detail: str = "") -> str:
    """Says that an operation is not supported, and what is."""
    layer = layer_of(op)
    return (
        f"Expected operations that a device knows: {SUPPORTED}. Received: "
        f"{op.name!r} ({type(layer).__name__})"
        + (f" with {detail}" if detail else "")
    )


def layer_of(op: Op) -> layers.Layer:
    """Returns the layer of an operation, that inside of a masked one."""
    return getattr(op.operation, "layer", op.operation)


def activation_name(op: Op, activation: Callable) -> str:
    """Returns how the format calls a Keras activation."""
    if activation not in _ACTIVATIONS:
        name = getattr(activation, "__name__", activation)
        raise ValueError(refusal(op, f"activation {name!r}"))
    return _ACTIVATIONS[activation]


def _affine(layer: layers.Rescaling) -> tuple:
    return layer.scale, layer.offset


def _shape(op: Op) -> Shape:
    """Returns the shape of the output as a map."""
    shape = op.shape[1:]
    if len(shape) not in (1, 3) or None in shape:
        raise ValueError(refusal(op, f"output shape {op.shape}"))
    return tuple(shape) if len(shape) == 3 else (1, 1, *shape)
