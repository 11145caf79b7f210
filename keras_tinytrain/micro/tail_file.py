"""What a `model.tflite` says of its operator."""

from __future__ import annotations

import dataclasses

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_tinytrain.export import layout
from keras_tinytrain.export.tail_model import MAGIC, OPERATOR


@dataclasses.dataclass(frozen=True)
class TailFile:
    """The parts of a model.

    Attributes:
        data: All of it.
        blob: The tail, as docs/format.md has it.
        options: The record `layout.TAIL`.
        input_shape: Shape of an image.
        scale: Real value of one step of the stored image.
        zero_point: Stored value that means 0.0.
    """

    data: bytes
    blob: bytes
    options: dict
    input_shape: tuple[int, ...]
    scale: float
    zero_point: int

    def stored(self, image: np.ndarray) -> np.ndarray:
        """Returns an image as the model takes it, `(1, ...)` int8."""
        image = np.asarray(image, np.float32)
        factor = np.float32(self.options["factor"])
        summand = np.float32(self.options["summand"])
        steps = (image * factor + summand) / np.float32(self.scale)
        # Halves away from zero; float64 has the sum exactly.
        steps = np.float64(steps)
        whole = np.trunc(steps + np.copysign(0.5, steps))
        return np.clip(whole + self.zero_point, -128, 127).astype(np.int8)[None]


def read_tail_file(data: bytes) -> TailFile:
    """Reads the parts of a model.

    Raises:
        ValueError: If it is none, or of another version, or damaged.
    """
    if data[4:8] != b"TFL3":
        raise ValueError(
            "Expected a TensorFlow Lite model. Received: something else"
        )
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    found = [
        op
        for op in graph.operators
        if model.operatorCodes[op.opcodeIndex].customCode == OPERATOR.encode()
    ]
    if len(found) != 1:
        raise ValueError(
            f"Expected a model with one operator {OPERATOR}, as export_micro "
            f"writes it. Received: one with {len(found)}"
        )
    options = bytes(bytearray(found[0].customOptions))
    options = layout.check_start(layout.TAIL, MAGIC, options)
    image = graph.tensors[graph.inputs[0]]
    blob = graph.tensors[found[0].inputs[2]]
    return TailFile(
        data=data,
        blob=bytes(bytearray(model.buffers[blob.buffer].data)),
        options=options,
        input_shape=tuple(map(int, image.shape[1:])),
        scale=float(image.quantization.scale[0]),
        zero_point=int(image.quantization.zeroPoint[0]),
    )
