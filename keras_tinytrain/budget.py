"""What training may cost, and what each layer costs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

# Training state of one weight: value, gradient and Adam's two moments, each
# float32 (decoded from the published memory table).
BYTES_PER_TRAINED_WEIGHT = 16
# Place of a trained channel in the device's list.
BYTES_PER_TRAINED_CHANNEL = 2

_UNITS = {"b": 1, "kb": 1024, "kib": 1024, "mb": 1024**2, "mib": 1024**2}


@dataclasses.dataclass(frozen=True, init=False)
class Budget:
    """What training may cost on the device.

    Args:
        memory: Bytes, as an integer or text: `262144`, `"256KB"`, `"0.89MB"`.
            1 KB is 1024 bytes, 1 MB is 1024 KB. None is no limit.
        macs: Multiply-accumulates of one sample's backward pass: a count, or
            a float up to 1.0, a fraction of what training all weights takes.
            None is no limit.

    Raises:
        ValueError: If a value is not positive or cannot be read.

    Example:

    >>> Budget(memory="256KB", macs=0.15).memory_bytes
    262144
    """

    memory_bytes: int | None
    macs: int | float | None

    def __init__(
        self,
        memory: int | str | None = None,
        macs: int | float | None = None,
    ) -> None:
        object.__setattr__(self, "memory_bytes", _bytes(memory))
        if macs is not None and not (
            isinstance(macs, (int, float)) and 0 < macs < float("inf")
        ):
            raise ValueError(
                "Expected `macs` to be a positive count or a fraction up to "
                f"1.0. Received: macs={macs!r}"
            )
        object.__setattr__(self, "macs", macs)

    def macs_limit(self, full: int) -> float:
        """Returns the limit in MACs.

        Args:
            full: MACs of the backward pass that trains all weights.
        """
        if self.macs is None:
            return float("inf")
        if isinstance(self.macs, float) and self.macs <= 1.0:
            return self.macs * full
        return self.macs

    def memory_limit(self) -> float:
        """Returns the limit in bytes, infinity for none."""
        return float("inf") if self.memory_bytes is None else self.memory_bytes


def _bytes(memory: int | str | None) -> int | None:
    number, unit = memory, "b"
    if isinstance(memory, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]+)\s*", memory)
        if match:
            number, unit = match[1], match[2].lower()
    try:
        size = None if memory is None else int(float(number) * _UNITS[unit])
    except (KeyError, OverflowError, TypeError, ValueError):
        size = 0
    if size is not None and size <= 0:
        raise ValueError(
            "Expected `memory` to be a positive number of bytes or a text as "
            f'"256KB" or "1MB". Received: memory={memory!r}'
        )
    return size


def fingerprint(layers: Iterable[tuple[str, int, int]]) -> str:
    """Identifies a network by name, channels and weights of its layers."""
    text = json.dumps([list(layer) for layer in layers])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """What one layer costs, for one sample in float32.

    Attributes:
        name: Name of the layer.
        channels: Number of output channels.
        weights: Weights of the kernel.
        biases: Number of biases, 0 without.
        macs: Multiply-accumulates of the forward pass. The gradient of the
            input takes as many, and so does the gradient of the kernel.
        input_bytes: Size of the input.
        output_bytes: Size of the output.
        per_channel_input: Whether a channel reads one input channel only.
        inputs: Number of input channels that every channel reads; 0 for a
            layer with `per_channel_input`.
        is_quantized: Whether what trains is stored in int8, biases in int32,
            besides.
    """

    name: str
    channels: int
    weights: int
    biases: int
    macs: int
    input_bytes: int
    output_bytes: int
    per_channel_input: bool
    inputs: int = 0
    is_quantized: bool = False

    def stored_bytes(self, weights: int, biases: int) -> int:
        """Returns what the integers of so much that trains take."""
        return weights + 4 * biases if self.is_quantized else 0


class DeviceMemory(Protocol):
    """What the device takes for a set of layers, see `Arena`."""

    def fixed_bytes(
        self,
        learning: Collection[int],
        kept: Collection[int],
        inputs: Mapping[int, int] = ...,
    ) -> int:
        """Returns the bytes that do not depend on how many channels train."""
        ...

    def work_bytes(
        self,
        learning: Collection[int],
        kept: Collection[int],
        inputs: Mapping[int, int] = ...,
    ) -> int:
        """Returns those of them that hold nothing between two samples."""
        ...

    def list_bytes(self, learning: Collection[int]) -> int:
        """Returns what it takes to train more than output channels."""
        ...

    def selecting_bytes(self, scored: Collection[int]) -> tuple[int, int]:
        """Returns what both regions need to score and select."""
        ...


@dataclasses.dataclass(frozen=True)
class LayerCosts(Sequence):
    """Costs of all layers of a network, in order, under one cost model.

    Attributes:
        layers: One `LayerCost` per trainable layer.
        peak_bytes: Largest memory of the forward pass, as published.
        model: `"paper"` or `"arena"`, see `keras_tinytrain.layer_costs`.
        device: What the arena model asks; None under the paper model.
    """

    layers: tuple[LayerCost, ...]
    peak_bytes: int
    model: str
    device: DeviceMemory | None = dataclasses.field(
        default=None, compare=False, repr=False
    )

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index):
        return self.layers[index]

    @property
    def full_macs(self) -> int:
        """MACs of the backward pass that trains all weights."""
        return 2 * sum(layer.macs for layer in self.layers)

    @property
    def fingerprint(self) -> str:
        """Identifies the network by its layers, not by its weights."""
        return fingerprint((c.name, c.channels, c.weights) for c in self)

    def fixed_bytes(
        self,
        layers: Collection[int],
        kept: Collection[int] | None = None,
        inputs: Mapping[int, int] = MappingProxyType({}),
    ) -> int:
        """Bytes that any plan takes of which these layers train.

        Together with `channel_bytes` of each trained channel this is the
        memory of a plan. One more layer never makes it less.

        Args:
            layers: Indices of the layers.
            kept: Of these, the ones whose weights train, not biases alone.
                All of them when None.
            inputs: Number of input channels of those that train such.
        """
        if self.model == "paper":
            return self.peak_bytes
        if self.device is None:
            raise ValueError(
                "Expected the memory of a device for the arena model. "
                "Received: device=None. Use `layer_costs`."
            )
        kept = layers if kept is None else kept
        return self.device.fixed_bytes(layers, kept, inputs)

    def channel_bytes(self, index: int) -> int:
        """Bytes that each trained channel of a layer takes."""
        cost = self.layers[index]
        weights = cost.weights // cost.channels
        if self.model == "paper":
            return BYTES_PER_TRAINED_WEIGHT * weights
        biases = cost.biases // cost.channels
        return (
            BYTES_PER_TRAINED_WEIGHT * (weights + biases)
            + cost.stored_bytes(weights, biases)
            + BYTES_PER_TRAINED_CHANNEL
        )

    def memory_bytes(
        self,
        counts: Mapping[str, int],
        *,
        inputs: Mapping[str, int] | None = None,
        biases: Collection[str] = (),
    ) -> int:
        """Returns the bytes of training parts of layers.

        Without any part this is the forward pass; under the arena model it is
        the training of the head alone, which takes the whole network. Biases
        are free under the paper model.

        Args:
            counts: Number of trained channels by layer.
            inputs: Number of trained input channels by layer.
            biases: Layers of which all biases train, not those of the
                trained channels alone.
        """
        arena = self.model == "arena"
        parts = self._parts(counts, inputs or {}, biases)
        total = self.fixed_bytes(parts, *_kept(parts))
        if arena and any(
            inputs_ or every for _, inputs_, every in parts.values()
        ):
            total += self.device.list_bytes(parts)
        for i, (channels, inputs_, every_bias) in parts.items():
            cost = self.layers[i]
            total += channels * self.channel_bytes(i)
            if inputs_:
                weights = cost.weights * inputs_ // cost.inputs
                total += BYTES_PER_TRAINED_WEIGHT * weights
                if arena:
                    total += BYTES_PER_TRAINED_CHANNEL * inputs_
                    total += cost.stored_bytes(weights, 0)
            if every_bias and arena:
                others = cost.biases - min(channels, cost.biases)
                total += BYTES_PER_TRAINED_WEIGHT * others
                total += cost.stored_bytes(0, others)
        return total

    def work_bytes(
        self,
        counts: Mapping[str, int],
        *,
        inputs: Mapping[str, int] | None = None,
        biases: Collection[str] = (),
    ) -> int:
        """Returns the part of `memory_bytes` that is the device's `work`.

        The rest is its `persistent`. Only the arena model knows two regions.
        """
        parts = self._parts(counts, inputs or {}, biases)
        return self.device.work_bytes(parts, *_kept(parts))

    def selecting_bytes(self, names: Collection[str]) -> tuple[int, int]:
        """Returns what a device needs to score layers and to select.

        Before it trains, and in the same regions. Only the arena model knows
        them.

        Args:
            names: The layers that may train.

        Returns:
            Bytes of `persistent` and `work`.
        """
        scored = [i for i, cost in enumerate(self.layers) if cost.name in names]
        return self.device.selecting_bytes(scored)

    def macs(
        self,
        counts: Mapping[str, int],
        *,
        inputs: Mapping[str, int] | None = None,
        biases: Collection[str] = (),
    ) -> int:
        """Returns the backward MACs of one sample.

        These are the input gradients of all layers behind the first trained
        one, and the kernel gradients of what trains (of all layers: of the
        first one's input too, as published). Under the paper model the first
        trained layer is the first of which weights train: the published
        number of SparseUpdate leaves out the gradients that reach biases
        only.

        Args:
            counts: Number of trained channels by layer.
            inputs: Number of trained input channels by layer.
            biases: Layers of which all biases train.
        """
        if self.model == "paper":
            biases = ()
        parts = self._parts(counts, inputs or {}, biases)
        if not parts:
            return 0
        first = min(parts)
        if first == 0:
            first = -1  # FullTrain counts the gradient of the image.
        total = sum(cost.macs for cost in self.layers[first + 1 :])
        for i, (channels, inputs_, _) in parts.items():
            cost = self.layers[i]
            total += cost.macs // cost.channels * channels
            if inputs_:
                total += cost.macs // cost.inputs * inputs_
        return total

    def _parts(
        self,
        counts: Mapping[str, int],
        inputs: Mapping[str, int],
        biases: Collection[str],
    ) -> dict[int, tuple[int, int, bool]]:
        """Returns channels, inputs and all biases of layers that train."""
        found = {}
        for i, cost in enumerate(self.layers):
            name = cost.name
            parts = counts.get(name, 0), inputs.get(name, 0), name in biases
            if any(parts):
                found[i] = parts
        return found


def _kept(
    parts: Mapping[int, tuple[int, int, bool]],
) -> tuple[list[int], dict[int, int]]:
    """Returns the layers whose weights train, and of which how many inputs."""
    kept = [
        i for i, (channels, inputs, _) in parts.items() if channels or inputs
    ]
    return kept, {i: part[1] for i, part in parts.items() if part[1]}
