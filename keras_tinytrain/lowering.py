"""What of a network is written as operations that a device knows."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
from keras import layers

from keras_tinytrain.device_graph import DeviceOp, Shape, Stored
from keras_tinytrain.graph import Op
from keras_tinytrain.masking import Masked
from keras_tinytrain.network import Network
from keras_tinytrain.paddings import Padding, no_padding, same_padding

# What the fields and kernels of a device hold.
MAX_SIDE, MAX_CHANNELS, MAX_SIZE = 2**14, 2**16 - 1, 2**29 - 1

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
# What lowers each kind of layer.
_LOWER: dict[type, Callable] = {}


def register_lowering(layer: type, function: Callable) -> None:
    """Makes `lower` know a kind of layer.

    Args:
        layer: Class of the layers; `Masked` for all that are masked.
        function: Called with a `Lowering`, the operation and its layer.
    """
    _LOWER[layer] = function


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
        kind = Masked if isinstance(layer, Masked) else type(layer)
        data_format = getattr(layer, "data_format", None)
        if data_format == "channels_first":
            raise ValueError(refusal(op, f"data_format={data_format!r}"))
        if kind not in _LOWER:
            raise ValueError(refusal(op))
        _LOWER[kind](self, op, layer)

    def emit(self, op: Op, kind: str, inputs: tuple[int, ...], **fields):
        """Appends the operation that writes the output of `op`."""
        output = fields.pop("output", op.output)
        # A vector may be the map that was flattened, which is no operation.
        same = kind in ("activation", "rescale")
        shape = self.shapes[inputs[0]] if same else map_shape(op)
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
        self.shapes[op.output] = map_shape(op)
        self.stored[op.output] = stored

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


def map_shape(op: Op) -> Shape:
    """Returns the shape of the output as a map."""
    shape = op.shape[1:]
    if len(shape) not in (1, 3) or None in shape:
        raise ValueError(refusal(op, f"output shape {op.shape}"))
    return tuple(shape) if len(shape) == 3 else (1, 1, *shape)
