"""Checkpoints: what a device has learned comes back, or the other way."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from keras_tinytrain.costs import layer_costs
from keras_tinytrain.export.checkpoint_file import (
    Checkpoint,
    TrainedLayer,
    newest,
)
from keras_tinytrain.export.contents import (
    base_hash,
    channel_major,
)
from keras_tinytrain.lower import lower
from keras_tinytrain.masking import Masked, apply_plan
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.selection import make_plan
from keras_tinytrain.whole_files import whole_file


def save_checkpoint(model: AdaptiveModel, file: str | os.PathLike) -> None:
    """Writes what a wrapped model has learned, as a device does.

    Args:
        model: A wrapped model with a plan.
        file: The file.

    Raises:
        ValueError: If the model has no plan, or no device can run it.
        OSError: If it cannot be written. What was in the file is safe.
    """
    if model.plan is None:
        raise ValueError(
            "Expected a model with a plan. Received: none, so that nothing "
            "is trained"
        )
    expected = _expected(model)
    vectors = model.class_vectors
    if vectors is None:
        vectors = np.zeros((0, expected.vectors.shape[1]), np.float32)
    layers = [
        _trained(index, layer)
        for index, layer in enumerate(model.network.layers.values())
        if layer.is_trained
    ]
    checkpoint = dataclasses.replace(
        expected, vectors=np.asarray(vectors), layers=layers
    )
    with whole_file(file) as part:
        part.write_bytes(checkpoint.to_bytes())


def load_checkpoint(model: AdaptiveModel, file: str | os.PathLike) -> None:
    """Puts what a device has learned into a wrapped model, bit for bit.

    The plan becomes that of the checkpoint, as if it had been applied.

    Args:
        model: The wrapped model that was exported, or an equal one.
        file: A checkpoint, or both slots one after the other, of which the
            newer complete one is taken.

    Raises:
        ValueError: If it is damaged, of another version, or of another
            model. The model is unchanged then.
    """
    expected = _expected(model)
    checkpoint = newest(pathlib.Path(file).read_bytes(), expected.base)
    for name in ("base", "head", "embedding"):
        own, received = getattr(expected, name), getattr(checkpoint, name)
        if own != received:
            own, received = (
                f"{v:016x}" if name == "base" else v for v in (own, received)
            )
            raise ValueError(
                f"Expected a checkpoint of this model, with {name} {own}. "
                f"Received: {name} {received}"
            )
    if checkpoint.vectors.shape[1] != expected.vectors.shape[1]:
        raise ValueError(
            f"Expected class vectors of {expected.vectors.shape[1]} numbers. "
            f"Received: {checkpoint.vectors.shape[1]}"
        )
    names = list(model.network.layers)
    indices = [layer.index for layer in checkpoint.layers]
    if indices != sorted({*indices} & {*range(len(names))}):
        raise ValueError(
            f"Expected layers from 0 to {len(names) - 1}, rising. Received: "
            f"{indices}"
        )
    masked = list(model.network.layers.values())
    for layer in checkpoint.layers:
        _check(layer, names[layer.index], masked[layer.index])
    _check_finite("class vectors", checkpoint.vectors)
    apply_plan(model, _plan(model, checkpoint.layers))
    for layer in checkpoint.layers:
        _assign(layer, masked[layer.index])
    vectors = checkpoint.vectors
    model.set_class_vectors(vectors if len(vectors) else None)


def _expected(model: AdaptiveModel) -> Checkpoint:
    """Returns an empty checkpoint of a model, to compare with."""
    if not isinstance(model, AdaptiveModel):
        raise ValueError(
            "Expected a wrapped model. Received: "
            f"{type(model).__name__}. Use `wrap` first."
        )
    graph = lower(model.network)
    embedding, width = graph.embedding(model.head), graph.depth(model.head)
    return Checkpoint(
        base_hash(model.network, graph),
        model.head,
        embedding,
        np.zeros((0, width), np.float32),
        (),
    )


def _trained(index: int, layer: Masked) -> TrainedLayer:
    by_input = len(layer.inputs) > 0
    indices = layer.inputs if by_input else layer.channels
    kernel, bias = (
        np.zeros(0, np.float32) if v is None else v.numpy()
        for v in (layer.kernel_slice, layer.bias_slice)
    )
    if kernel.size:
        kernel = channel_major(kernel).ravel()
    return TrainedLayer(index, by_input, indices, kernel, bias)


def _check(layer: TrainedLayer, name: str, masked: Masked) -> None:
    """Refuses parts that are not those of the layer."""
    limit = masked.input_size if layer.by_input else masked.size
    count = len(layer.indices)
    rising = np.all(np.diff(layer.indices.astype(np.int64)) > 0)
    if not rising or (count and layer.indices[-1] >= limit):
        raise ValueError(
            f"Expected rising indices below {limit} of layer {name!r}. "
            f"Received: {layer.indices}"
        )
    weights = np.prod(masked.slice_shape(count, layer.by_input), dtype=int)
    allowed = {0, masked.size} if layer.by_input else {count, masked.size}
    if not masked.use_bias:
        allowed = {0}
    if layer.kernel.size != weights or layer.bias.size not in allowed:
        raise ValueError(
            f"Expected {weights} weights of layer {name!r} and one of "
            f"{sorted(allowed)} biases. Received: {layer.kernel.size} weights "
            f"and {layer.bias.size} biases"
        )
    _check_finite(f"layer {name!r}", layer.kernel, layer.bias)


def _check_finite(what: str, *values: np.ndarray) -> None:
    if not all(np.isfinite(v).all() for v in values):
        raise ValueError(
            f"Expected finite numbers of {what}. Received: some that are not"
        )


def _plan(model: AdaptiveModel, layers: Sequence[TrainedLayer]) -> UpdatePlan:
    """Returns the plan that trains what a checkpoint holds."""
    names = list(model.network.layers)
    channels, inputs, biases = {}, {}, set()
    for layer in layers:
        chosen = inputs if layer.by_input else channels
        chosen[names[layer.index]] = layer.indices
        if layer.bias.size > (0 if layer.by_input else len(layer.indices)):
            biases.add(names[layer.index])
    return make_plan(
        channels, layer_costs(model), "device", inputs=inputs, biases=biases
    )


def _assign(layer: TrainedLayer, masked: Masked) -> None:
    if masked.kernel_slice is not None:
        shape = masked.kernel_slice.shape
        rows = layer.kernel.reshape(shape[-1], *shape[:-1])
        masked.kernel_slice.assign(np.moveaxis(rows, 0, -1))
    if masked.bias_slice is not None:
        masked.bias_slice.assign(layer.bias)
