"""Checkpoints of docs/format.md: trained parts come back, or go out."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from keras_tinytrain.costs import layer_costs
from keras_tinytrain.export import layout
from keras_tinytrain.export.contents import (
    base_hash,
    channel_major,
    depth,
    embedding_kind,
)
from keras_tinytrain.export.lowering import lower
from keras_tinytrain.masking import Masked, apply_plan
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.selection import make_plan

MAGIC = b"TTCK"


@dataclasses.dataclass(frozen=True)
class TrainedLayer:
    """What is trained of one layer.

    Attributes:
        index: The layer, counted over those of the network.
        by_input: Whether `indices` are input channels.
        indices: `(k,)` trained channels, rising.
        kernel: Their weights in channel-major order, flat.
        bias: The trained biases: none, one an index, or all.
    """

    index: int
    by_input: bool
    indices: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The difference of a trained model to its base.

    Attributes:
        base: Hash of the base model.
        head: `"prototype"` or `"linear"`.
        embedding: One of `layout.EMBEDDINGS`.
        vectors: Class vectors `(way, depth)`.
        layers: The trained layers, in order.
        sequence: Which of two slots is the newer one.
    """

    base: int
    head: str
    embedding: str
    vectors: np.ndarray
    layers: Sequence[TrainedLayer]
    sequence: int = 1

    def to_bytes(self) -> bytes:
        """Returns the bytes of docs/format.md."""
        header, row = layout.CHECKPOINT, layout.TRAINED
        body = _floats(self.vectors)
        start = header.size + row.size * len(self.layers)
        rows = []
        for layer in self.layers:
            places = []
            for part in (
                layer.indices.astype("<u2").tobytes(),
                _floats(layer.kernel),
                _floats(layer.bias),
            ):
                places.append(start + len(body))
                body += part + bytes(-len(part) % 4)
            rows.append(
                row.pack(
                    index=layer.index,
                    by_input=int(layer.by_input),
                    count=len(layer.indices),
                    biases=layer.bias.size,
                    weights=layer.kernel.size,
                    indices=places[0],
                    kernel=places[1],
                    bias=places[2],
                )
            )
        start_of_all = header.pack(
            magic=MAGIC,
            major=layout.MAJOR,
            minor=layout.MINOR,
            byte_order=layout.BYTE_ORDER,
            header_size=header.size,
            base=self.base,
            sequence=self.sequence,
            layers=len(rows),
            kind=layout.HEAD_KINDS[self.head],
            embedding=layout.EMBEDDINGS[self.embedding],
            way=self.vectors.shape[0],
            depth=self.vectors.shape[1],
            vectors=start,
            stride=row.size,
        )
        return layout.seal(start_of_all + b"".join(rows) + body)

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Reads one checkpoint; bytes behind it do not matter.

        Raises:
            ValueError: If it is none of this version, or damaged.
        """
        start = layout.check_start(layout.CHECKPOINT, MAGIC, data)
        data = data[: start["size"]]
        if start["stride"] < layout.TRAINED.size or start["stride"] % 4:
            raise ValueError(
                f"Expected rows of at least {layout.TRAINED.size} bytes. "
                f"Received: {start['stride']}"
            )
        layers = []
        for i in range(start["layers"]):
            row = layout.TRAINED.unpack(
                data, start["header_size"] + i * start["stride"]
            )
            layers.append(
                TrainedLayer(
                    row["index"],
                    bool(row["by_input"]),
                    _array(data, "<u2", row["count"], row["indices"]),
                    _array(data, "<f4", row["weights"], row["kernel"]),
                    _array(data, "<f4", row["biases"], row["bias"]),
                )
            )
        way, width = start["way"], start["depth"]
        return cls(
            start["base"],
            _name(layout.HEAD_KINDS, start["kind"], "head"),
            _name(layout.EMBEDDINGS, start["embedding"], "embedding"),
            _array(data, "<f4", way * width, start["vectors"]).reshape(
                way, width
            ),
            layers,
            start["sequence"],
        )


def save_checkpoint(model: AdaptiveModel, file: str | os.PathLike) -> None:
    """Writes what a wrapped model has learned, as a device does.

    Args:
        model: A wrapped model with a plan.
        file: The file.

    Raises:
        ValueError: If the model has no plan, or no device can run it.
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
    pathlib.Path(file).write_bytes(checkpoint.to_bytes())


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
    checkpoint = newest(pathlib.Path(file).read_bytes())
    expected = _expected(model)
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
    embedding = embedding_kind(model.head, is_vector=graph.is_vector)
    width = depth(embedding, graph.shapes[-1])
    return Checkpoint(
        base_hash(model.network, graph),
        model.head,
        embedding,
        np.zeros((0, width), np.float32),
        (),
    )


def newest(data: bytes) -> Checkpoint:
    """Reads a checkpoint, or the newer complete one of two slots.

    Raises:
        ValueError: If none is complete.
    """
    found, problems = [], []
    half = len(data) // 2
    for slot in (data, data[:half], data[half:]):
        try:
            found.append(Checkpoint.from_bytes(slot))
        except ValueError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    newest = found[0]
    for other in found[1:]:
        if 0 < (other.sequence - newest.sequence) % 2**32 < 2**31:
            newest = other
    return newest


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


def _floats(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()


def _array(data: bytes, kind: str, count: int, offset: int) -> np.ndarray:
    if offset % 4 or offset + np.dtype(kind).itemsize * count > len(data):
        raise ValueError(
            f"Expected {count} numbers at a multiple of 4. Received: offset "
            f"{offset} in a checkpoint of {len(data)} bytes"
        )
    return np.frombuffer(data, kind, count, offset)


def _name(numbers: dict[str, int], number: int, what: str) -> str:
    for name, value in numbers.items():
        if value == number:
            return name
    raise ValueError(
        f"Expected the {what} to be one of {numbers}. Received: {number}"
    )
