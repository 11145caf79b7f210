"""Writes an int8 network as a TensorFlow Lite model of builtin operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import keras
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_tinytrain.graph import Op
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.quantization import layers as int8
from keras_tinytrain.quantization.masked import (
    MaskedInt8,
    MaskedInt8Dense,
    MaskedInt8DepthwiseConv2D,
)
from keras_tinytrain.quantization.scales import Quantization

_INT8, _INT32 = schema.TensorType.INT8, schema.TensorType.INT32
_TYPES = {
    np.dtype(np.int8): _INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): _INT32,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
}
_ACTIVATIONS = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_PADDINGS = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}


def write_tflite(model: AdaptiveModel, *, every_tensor: bool = False) -> bytes:
    """Writes the int8 part of a model, one image at a time.

    Input and output are int8: what `Quantize` stores, and what `Dequantize`
    reads. Layers behind the latter are left out.

    Args:
        model: A wrapped int8 model.
        every_tensor: Whether all tensors between layers are outputs too, in
            the order of the layers.

    Returns:
        The model as a flatbuffer.

    Raises:
        ValueError: If an operation has no counterpart in TensorFlow Lite.
    """
    writer = Writer(keep_padding=every_tensor)
    for op in model.network.ops:
        writer.add(op)
    outputs = writer.results if every_tensor else [writer.place[writer.end]]
    return writer.finish([writer.start], outputs)


def stored_input(model: AdaptiveModel, images: np.ndarray) -> np.ndarray:
    """Returns what `Quantize` stores of images, `(n, ...)` int8."""
    ops = model.network.ops
    places = [isinstance(op.operation, int8.Quantize) for op in ops]
    last = places.index(True)
    tensors = {0: np.asarray(images, np.float32)}
    values = model.network.run(tensors, 0, last + 1)[ops[last].output]
    zero_point = ops[last].operation.quantization.zero_point
    return (values.numpy() + zero_point).astype(np.int8)


class Writer:
    """The tables of a TensorFlow Lite model while it grows.

    Args:
        keep_padding: Whether padding is always an operation of its own.
            Otherwise a convolution takes it over where this changes no bit.

    Attributes:
        start: Place of the tensor that the integers begin with.
        end: Number of the network's tensor that they end with.
    """

    def __init__(self, *, keep_padding: bool = False) -> None:
        self.keep_padding = keep_padding
        self.buffers = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[int | str] = []
        # Network tensors: their place in `tensors`, and how they are stored.
        self.place: dict[int, int] = {}
        self.stored: dict[int, Quantization] = {}
        self.results: list[int] = []
        # Padding that no operation has done yet, by the tensor it writes.
        self.pending: dict[int, Op] = {}

    def add(self, op: Op) -> None:
        """Adds an operation, once there is int8."""
        layer = op.operation
        if isinstance(layer, int8.Quantize):
            self._define(op, layer.quantization)
            self.start = self.place[op.output]
            return
        if op.inputs[0] not in {*self.place, *self.pending}:
            # In front of the integers, or behind them.
            return
        if isinstance(layer, MaskedInt8):
            self._weighted(op, layer)
            return
        for tensor in op.inputs:
            self._write_padding(tensor)
        if isinstance(layer, int8.Dequantize):
            self.end = op.inputs[0]
        elif type(layer) in _WRITE:
            _WRITE[type(layer)](self, op, layer)
        else:
            raise ValueError(
                "Expected layers that TensorFlow Lite has in int8. Received: "
                f"{op.name!r} ({type(layer).__name__})"
            )

    def finish(self, inputs: list[int], outputs: list[int]) -> bytes:
        """Returns the flatbuffer.

        Args:
            inputs: Places of the tensors that come in.
            outputs: Places of those that go out.
        """
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version = 3
        model.subgraphs, model.buffers = [graph], self.buffers
        model.operatorCodes = [_code(code) for code in self.codes]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def add_custom(
        self,
        name: str,
        options: bytes,
        inputs: list[int],
        outputs: list[int],
    ) -> None:
        """Adds an operator that TensorFlow Lite does not have."""
        self.codes.append(name)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(name)
        operator.inputs, operator.outputs = inputs, outputs
        operator.customOptions = np.frombuffer(options, np.uint8)
        self.operators.append(operator)

    def add_tensor(self, shape: tuple[int, ...], kind: type, name: str) -> int:
        """Adds a tensor without quantization; returns its place."""
        self._tensor(shape, _TYPES[np.dtype(kind)], name)
        return len(self.tensors) - 1

    def _tensor(
        self, shape: tuple[int, ...], kind: int, name: str, buffer: int = 0
    ) -> Any:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, buffer
        tensor.name = name
        tensor.quantization = schema.QuantizationParametersT()
        self.tensors.append(tensor)
        return tensor

    def _define(self, op: Op, quantization: Quantization) -> int:
        """Makes the tensor that an operation writes, always a map."""
        shape = (1,) * (5 - len(op.shape)) + tuple(op.shape[1:])
        tensor = self._tensor(shape, _INT8, op.name)
        tensor.quantization.scale = [quantization.scale]
        tensor.quantization.zeroPoint = [quantization.zero_point]
        self.place[op.output] = len(self.tensors) - 1
        self.stored[op.output] = quantization
        return self.place[op.output]

    def add_constant(
        self,
        values: np.ndarray,
        name: str,
        scale: np.ndarray | None = None,
        axis: int = 0,
    ) -> int:
        """Adds a tensor with values; returns its place."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.buffers.append(buffer)
        kind = _TYPES[values.dtype]
        place = len(self.buffers) - 1
        tensor = self._tensor(values.shape, kind, name, place)
        if scale is not None:
            tensor.quantization.scale = scale.tolist()
            tensor.quantization.zeroPoint = [0] * len(scale)
            tensor.quantization.quantizedDimension = axis
        return len(self.tensors) - 1

    def _operator(
        self,
        op: Op,
        builtin: str,
        options: Any,
        constants: tuple = (),
        source: int | None = None,
    ) -> None:
        """Adds the operator that writes the tensor defined last for `op`."""
        code = getattr(schema.BuiltinOperator, builtin)
        if code not in self.codes:
            self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        sources = op.inputs if source is None else [source]
        operator.inputs = [*(self.place[i] for i in sources), *constants]
        operator.outputs = [self.place[op.output]]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self.operators.append(operator)
        self.results.append(self.place[op.output])

    def _weighted(self, op: Op, masked: MaskedInt8) -> None:
        layer = masked.layer
        kernel, bias = (v.numpy() for v in masked.replaced(masked.slices()))
        kernel, bias = kernel.astype(np.int8), bias.astype(np.int32)
        padding, strides = "valid", (1, 1)
        source = op.inputs[0]
        if not isinstance(masked, MaskedInt8Dense):
            padding, strides = layer.padding, layer.strides
        if padding == "valid" and self._takes_over(op, strides, kernel):
            # The same window, with a row and a column of zeros behind.
            more = [(0, 1), (0, 1)] + [(0, 0)] * (kernel.ndim - 2)
            kernel = np.pad(kernel, more)
            padding, source = "same", self.pending[source].inputs[0]
        else:
            self._write_padding(source)
        if isinstance(masked, MaskedInt8DepthwiseConv2D):
            options = schema.DepthwiseConv2DOptionsT()
            builtin = "DEPTHWISE_CONV_2D"
            options.depthMultiplier = 1
            kernel, axis = kernel[None], 3
        else:
            # Dense layers too: FULLY_CONNECTED rounds once, this twice.
            options, builtin = schema.Conv2DOptionsT(), "CONV_2D"
            kernel = kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape)
            kernel, axis = kernel.transpose(3, 0, 1, 2), 0
        options.padding = _PADDINGS[padding]
        options.strideH, options.strideW = strides
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = _ACTIVATIONS[layer.activation_name]
        scale = layer.kernel_scale
        bias_scale = scale * np.float32(layer.source.scale)
        constants = (
            self.add_constant(kernel, f"{op.name}/kernel", scale, axis),
            self.add_constant(bias, f"{op.name}/bias", bias_scale),
        )
        self._define(op, layer.quantization)
        self._operator(op, builtin, options, constants, source)

    def _takes_over(
        self, op: Op, strides: tuple[int, int], kernel: np.ndarray
    ) -> bool:
        """Tells whether a larger kernel and "same" do what padding does.

        With a stride of 2 on an even size and k - 1 of padding in all, "same"
        pads a kernel of k + 1 by as much, half of it on each side. An operator
        for padding would hold its input and its output at once, the largest
        tensors of a network.
        """
        pad = self.pending.get(op.inputs[0])
        if pad is None:
            return False
        before = self.tensors[self.place[pad.inputs[0]]].shape
        size = kernel.shape[0]
        half = (size // 2, size // 2)
        return (
            tuple(strides) == (2, 2)
            and kernel.shape[1] == size
            and size % 2 == 1
            and tuple(map(tuple, pad.operation.padding)) == (half, half)
            and list(before[1:3]) == [2 * side for side in op.shape[1:3]]
        )

    def _add(self, op: Op, layer: int8.Int8Add) -> None:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _ACTIVATIONS[layer.activation]
        self._define(op, layer.quantization)
        self._operator(op, "ADD", options)

    def _pad(self, op: Op, layer: keras.layers.ZeroPadding2D) -> None:
        # Whoever reads it may do without.
        self.pending[op.output] = op
        if self.keep_padding:
            self._write_padding(op.output)

    def _write_padding(self, tensor: int) -> None:
        """Adds an operator for padding that is still to be done, if it is."""
        op = self.pending.pop(tensor, None)
        if op is None:
            return
        layer = op.operation
        pads = np.array([(0, 0), *layer.padding, (0, 0)], np.int32)
        constant = self.add_constant(pads, f"{op.name}/paddings")
        self._define(op, self.stored[op.inputs[0]])
        self._operator(op, "PAD", schema.PadOptionsT(), (constant,))

    def _clamp(self, op: Op, layer: int8.Int8Clamp) -> None:
        self._define(op, layer.quantization)
        self._operator(op, layer.activation.upper(), None)

    def _flatten(self, op: Op, layer: keras.layers.Flatten) -> None:
        self._define(op, self.stored[op.inputs[0]])
        options = schema.ReshapeOptionsT()
        options.newShape = self.tensors[-1].shape
        shape = np.array(options.newShape, np.int32)
        constant = self.add_constant(shape, f"{op.name}/shape")
        self._operator(op, "RESHAPE", options, (constant,))

    def _pool(self, op: Op, layer: keras.layers.Layer) -> None:
        builtin = "AVERAGE_POOL_2D"
        if isinstance(layer, keras.layers.MaxPooling2D):
            builtin = "MAX_POOL_2D"
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = layer.pool_size
        options.strideH, options.strideW = layer.strides
        options.padding = _PADDINGS[layer.padding]
        self._define(op, self.stored[op.inputs[0]])
        self._operator(op, builtin, options)

    def _global_pool(self, op: Op, layer: keras.layers.Layer) -> None:
        options = schema.Pool2DOptionsT()
        before = self.tensors[self.place[op.inputs[0]]].shape
        options.filterHeight, options.filterWidth = before[1:3]
        options.strideH = options.strideW = 1
        options.padding = schema.Padding.VALID
        self._define(op, layer.quantization)
        self._operator(op, "AVERAGE_POOL_2D", options)


_WRITE: dict[type, Callable] = {
    int8.Int8Add: Writer._add,
    int8.Int8AveragePooling2D: Writer._pool,
    int8.Int8Clamp: Writer._clamp,
    int8.Int8GlobalAveragePooling2D: Writer._global_pool,
    keras.layers.Flatten: Writer._flatten,
    keras.layers.MaxPooling2D: Writer._pool,
    keras.layers.ZeroPadding2D: Writer._pad,
}


def _code(builtin: int | str) -> Any:
    code = schema.OperatorCodeT()
    if isinstance(builtin, str):
        code.customCode = builtin
        builtin = schema.BuiltinOperator.CUSTOM
    code.builtinCode, code.version = builtin, 1
    # The old field holds small numbers alone.
    code.deprecatedBuiltinCode = min(builtin, 127)
    return code
