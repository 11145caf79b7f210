"""A wrapped network: a list of operations that can be run in parts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping

import keras
import tensorflow as tf

from keras_tinytrain.budget import fingerprint
from keras_tinytrain.graph import Op, flatten
from keras_tinytrain.masked_layers import maskable, masked
from keras_tinytrain.masking import Masked
from keras_tinytrain.slices import Slice

# Tensors of the network by number; 0 is the input.
Tensors = Mapping[int, tf.Tensor]


class Network:
    """The operations of a Keras model, its trainable layers masked.

    Args:
        model: A functional or Sequential model. Its layers are used as they
            are, not copied.

    Attributes:
        ops: The operations in order, without the folded BatchNormalization.
        output: Number of the output tensor.
        features: Number of the tensor that the head pools: the feature map
            in front of a last GlobalAveragePooling2D, else the output.
        input_shape: Static shape of the input, batch first.
        layers: The masked layers by name, in order.
        position: Index in `ops` of each masked layer.

    Raises:
        ValueError: If a layer can neither be masked nor run without weights.
    """

    def __init__(self, model: keras.Model) -> None:
        ops, self.output = flatten(model)
        self.input_shape = tuple(model.input_shape)
        self.ops: list[Op] = []
        self.layers: dict[str, Masked] = {}
        self.position: dict[str, int] = {}
        norms = _foldable_norms(ops, self.output)
        for op in ops:
            if op in norms.values():
                continue
            if maskable(op.name, op.operation):
                norm = norms.get(op.name)
                layer = masked(op.operation, norm and norm.operation)
                op = dataclasses.replace(
                    op, operation=layer, output=(norm or op).output
                )
                self.position[op.name] = len(self.ops)
                self.layers[op.name] = layer
            else:
                _check_weightless(op)
            self.ops.append(op)
        last = self.ops[-1]
        ends_pooled = isinstance(
            last.operation, keras.layers.GlobalAveragePooling2D
        )
        self.features = last.inputs[0] if ends_pooled else self.output
        if not self.layers:
            raise ValueError(
                "Expected a model with a Conv2D, DepthwiseConv2D or Dense "
                "layer. Received: none in the model "
                f"{model.name!r}, which leaves nothing to train."
            )

    @property
    def fingerprint(self) -> str:
        """Identifies the network by its layers, not by its weights."""
        return fingerprint(
            (name, layer.size, math.prod(layer.kernel_shape))
            for name, layer in self.layers.items()
        )

    def live(self, position: int) -> tuple[int, ...]:
        """Lists the tensors that `ops[position:]` read from before."""
        read = {i for op in self.ops[position:] for i in op.inputs}
        written = {op.output for op in self.ops[position:]}
        ends = {self.output, self.features}
        return tuple(sorted((read | ends) - written))

    def behind(self, names: Collection[str]) -> set[int]:
        """Lists the tensors that depend on these layers, by any way."""
        found: set[int] = set()
        for op in self.ops:
            if op.name in names or not found.isdisjoint(op.inputs):
                found.add(op.output)
        return found

    def run(
        self,
        tensors: Tensors,
        start: int = 0,
        stop: int | None = None,
        slices: Mapping[str, Slice] | None = None,
        gates: Mapping[str, tf.Tensor] | None = None,
    ) -> dict[int, tf.Tensor]:
        """Runs `ops[start:stop]`.

        Args:
            tensors: At least `live(start)`.
            start: First operation.
            stop: First operation not to run.
            slices: What is trained by layer, instead of the layers' own.
            gates: Factors of the linear outputs by layer, `Masked.forward`.

        Returns:
            `live(stop)`; `output` and `features` if `stop` is None.
        """
        tensors = dict(tensors)
        for op in self.ops[start:stop]:
            layer = self.layers.get(op.name)
            if layer is None or slices is None:
                tensors[op.output] = op(tensors)
                continue
            trained = slices.get(op.name, layer.nothing())
            gate = (gates or {}).get(op.name)
            tensors[op.output] = layer.forward(
                tensors[op.inputs[0]], trained, gate=gate
            )
        live = self.live(len(self.ops) if stop is None else stop)
        return {i: tensors[i] for i in live}


def _foldable_norms(ops: list[Op], output: int) -> dict[str, Op]:
    """Finds the BatchNormalization behind each layer that can fold it."""
    readers: dict[int, list[Op]] = {}
    for op in ops:
        for tensor in op.inputs:
            readers.setdefault(tensor, []).append(op)
    norms = {}
    for op in ops:
        behind = readers.get(op.output, [])
        if (
            maskable(op.name, op.operation)
            and len(behind) == 1
            and op.output != output
            and isinstance(behind[0].operation, keras.layers.BatchNormalization)
            and op.operation.activation is keras.activations.linear
            and behind[0].operation.axis in (-1, len(op.shape) - 1)
        ):
            norms[op.name] = behind[0]
    return norms


def _check_weightless(op: Op) -> None:
    if not getattr(op.operation, "weights", None):
        return
    kind = type(op.operation).__name__
    remedy = (
        "Put it directly behind a Conv2D, DepthwiseConv2D or Dense layer "
        "without activation, with axis=-1, where it can be folded."
        if kind == "BatchNormalization"
        else "Replace it by Conv2D, DepthwiseConv2D or Dense layers."
    )
    raise ValueError(
        "Expected Conv2D, DepthwiseConv2D, Dense, foldable "
        "BatchNormalization and layers without weights. Received: layer "
        f"{op.name!r} ({kind}). {remedy}"
    )
