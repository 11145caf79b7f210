"""The layers of an int8 graph as the operations that a device knows."""

from __future__ import annotations

from keras_tinytrain.graph import Op
from keras_tinytrain.lowering import Lowering, register_lowering
from keras_tinytrain.quantization import layers as int8


def _quantize(lowering: Lowering, op: Op, layer: int8.Quantize) -> None:
    """The device begins with stored numbers: who has pixels maps them."""
    stored = layer.quantization
    lowering.begin(op, (stored.scale, stored.zero_point))


def _dequantize(lowering: Lowering, op: Op, layer: int8.Dequantize) -> None:
    source = lowering.read(op.inputs[0], op.name)
    lowering.emit(op, "dequantize", (source,))


def _add(lowering: Lowering, op: Op, layer: int8.Int8Add) -> None:
    inputs = tuple(lowering.read(i, op.name) for i in op.inputs)
    lowering.emit(op, "add", inputs, activation=layer.activation)


def _clamp(lowering: Lowering, op: Op, layer: int8.Int8Clamp) -> None:
    source = lowering.read(op.inputs[0], op.name)
    lowering.emit(op, "activation", (source,), activation=layer.activation)


def _pool(lowering: Lowering, op: Op, layer: int8.Quantized) -> None:
    lowering.pool(op, layer, "average_pool")


def _global_pool(lowering: Lowering, op: Op, layer: int8.Quantized) -> None:
    source = lowering.read(op.inputs[0], op.name)
    lowering.emit(op, "global_average_pool", (source,))


for _layer, _function in {
    int8.Quantize: _quantize,
    int8.Dequantize: _dequantize,
    int8.Int8Add: _add,
    int8.Int8Clamp: _clamp,
    int8.Int8AveragePooling2D: _pool,
    int8.Int8GlobalAveragePooling2D: _global_pool,
}.items():
    register_lowering(_layer, _function)
