"""Writes `model.tflite`: an int8 prefix and the operator that learns."""

from __future__ import annotations

import numpy as np

from keras_tinytrain.export import layout
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.quantization.layers import Quantize
from keras_tinytrain.quantization.scales import Quantization
from keras_tinytrain.quantization.tflite import Writer

# `kTailName`, `kTailMagic` and sizes of micro/src/tinytrain/tflm.
OPERATOR, MAGIC = "TinyTrainTail", b"TTNO"
CONTROL_NUMBERS, STATUS_NUMBERS = 2, 8
ADAM = 2


def write_tail_model(
    model: AdaptiveModel,
    blob: bytes,
    *,
    cut: str | None,
    max_way: int,
    persistent_bytes: int,
    work_bytes: int,
    scores: bool,
) -> bytes:
    """Returns the TensorFlow Lite model of a frozen prefix and its tail.

    Args:
        model: An int8 model, or what `quantize_prefix` returned.
        blob: The tail behind the prefix, as docs/format.md has it.
        cut: Name of the operation that the prefix ends with. None: it ends
            where the integers do, and the tail is float32.
        max_way: Most classes of a task.
        persistent_bytes: Bytes of the operator's region `persistent`.
        work_bytes: Bytes of its region `work`.
        scores: Whether the device chooses what trains, for which the operator
            takes more if it has to.

    Raises:
        ValueError: If an operation of the prefix has no counterpart in
            TensorFlow Lite, with its name.
    """
    writer = Writer()
    for op in model.network.ops:
        writer.add(op)
        if op.name == cut:
            writer.end = op.output
            break
    features = writer.place[writer.end]
    options = _options(
        model,
        writer.stored[writer.end],
        persistent_bytes=persistent_bytes,
        work_bytes=work_bytes,
        flags=layout.SCORES * scores,
    )
    control = writer.add_tensor((CONTROL_NUMBERS,), np.int32, "control")
    weights = writer.add_constant(np.frombuffer(blob, np.int8), "blob")
    outputs = [
        writer.add_tensor((1, max_way), np.float32, "logits"),
        writer.add_tensor((1,), np.float32, "loss"),
        writer.add_tensor((STATUS_NUMBERS,), np.int32, "status"),
    ]
    writer.add_custom(OPERATOR, options, [features, control, weights], outputs)
    return writer.finish([writer.start, control], outputs)


def _options(
    model: AdaptiveModel, boundary: Quantization, **sizes: int
) -> bytes:
    ops = [op.operation for op in model.network.ops]
    start = [isinstance(op, Quantize) for op in ops].index(True)
    factor, summand = _affine(ops[:start])
    return layout.seal(
        layout.TAIL.pack(
            magic=MAGIC,
            major=layout.MAJOR,
            minor=layout.MINOR,
            byte_order=layout.BYTE_ORDER,
            header_size=layout.TAIL.size,
            optimizer=ADAM,
            scale=boundary.scale,
            zero_point=boundary.zero_point,
            factor=factor,
            summand=summand,
            **sizes,
        )
    )


def _affine(rescalings: list) -> tuple[float, float]:
    """Returns what lies between pixels and the numbers that are stored."""
    factor, summand = 1.0, 0.0
    for layer in rescalings:
        factor, summand = factor * layer.scale, summand * layer.scale
        summand += layer.offset
    return factor, summand
