"""The update plan: all that selection decides, in one value."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

FORMAT_VERSION = 3


@dataclasses.dataclass(frozen=True)
class PlanLayer:
    """What trains of one layer.

    Output channels with their biases, or input channels, which are a part of
    every output channel's kernel; and all biases, alone or with either.

    Attributes:
        name: Name of the layer.
        size: Number of its output channels.
        weights: Kernel weights of one output channel.
        channels: Sorted indices of the trained output channels.
        inputs: Sorted indices of the trained input channels.
        input_size: Number of its input channels; 0 where each is read by
            channels of its own, so that none can train for all.
        bias: Whether all biases train.
        index: Place of the layer in the network, counted over those that
            can train. Plans together have the order of it by this.
    """

    name: str
    size: int
    weights: int
    channels: tuple[int, ...]
    inputs: tuple[int, ...] = ()
    input_size: int = 0
    bias: bool = False
    index: int = 0

    def __post_init__(self) -> None:
        sizes = self.size, self.weights, self.input_size, self.index
        if (
            not isinstance(self.name, str)
            or type(self.bias) is not bool
            or not all(type(n) is int and n >= 0 for n in sizes)
        ):
            raise ValueError(
                "Expected a layer name, sizes from 0 and a truth value. "
                f"Received: name={self.name!r}, size={self.size!r}, "
                f"weights={self.weights!r}, input_size={self.input_size!r}, "
                f"bias={self.bias!r}, index={self.index!r}"
            )
        self._check_indices("channels", self.size)
        self._check_indices("inputs", self.input_size)
        if self.channels and self.inputs:
            raise ValueError(
                f"Expected channels or inputs of layer {self.name!r}, not "
                f"both. Received: channels={self.channels}, "
                f"inputs={self.inputs}"
            )
        if self.input_size and self.size * self.weights % self.input_size:
            raise ValueError(
                f"Expected the weights of layer {self.name!r} to be parted "
                f"among its inputs. Received: {self.size} channels of "
                f"{self.weights} weights, input_size={self.input_size}"
            )

    def _check_indices(self, field: str, size: int) -> None:
        indices = tuple(getattr(self, field))
        object.__setattr__(self, field, indices)
        if not all(type(i) is int and 0 <= i < size for i in indices):
            remedy = ""
            if field == "inputs" and not size:
                remedy = ". It has no inputs of its own: train channels"
            raise ValueError(
                f"Expected {field} of layer {self.name!r} to be integers "
                f"from 0 to {size - 1}. Received: {indices}{remedy}"
            )
        if list(indices) != sorted(set(indices)):
            raise ValueError(
                f"Expected sorted distinct {field} of layer {self.name!r}. "
                f"Received: {indices}"
            )

    @property
    def trained_weights(self) -> int:
        """Number of trained kernel weights."""
        if self.inputs:
            kernel = self.size * self.weights
            return len(self.inputs) * kernel // self.input_size
        return len(self.channels) * self.weights

    def describe(self) -> str:
        """Says what trains, as `"3/8"`, `"60/240 in, bias"` or `"bias"`."""
        parts = []
        if self.inputs:
            parts.append(f"{len(self.inputs)}/{self.input_size} in")
        elif self.channels or not self.bias:
            parts.append(f"{len(self.channels)}/{self.size}")
        return ", ".join(parts + ["bias"] * self.bias)


@dataclasses.dataclass(frozen=True)
class UpdatePlan:
    """What trains of which layers, and what that costs.

    All that training, export and the device need to know of a selection.

    Attributes:
        layers: The layers of which something trains, in network order.
        fingerprint: `LayerCosts.fingerprint` of the network.
        memory_bytes: Memory of training under `cost_model`.
        macs: Multiply-accumulates of one sample's backward pass.
        criterion: How the channels were chosen.
        cost_model: `"paper"` or `"arena"`.
        score: Sum of the Fisher potentials of the trained channels.

    Example:

    >>> plan = UpdatePlan.from_json(text)
    >>> plan.channels["block13_expand"]
    (3, 17, 44)
    """

    layers: tuple[PlanLayer, ...]
    fingerprint: str
    memory_bytes: int
    macs: int
    criterion: str
    cost_model: str
    score: float = 0.0

    @property
    def channels(self) -> dict[str, tuple[int, ...]]:
        """Trained output channels by layer."""
        return {layer.name: layer.channels for layer in self.layers}

    @property
    def trained_weights(self) -> int:
        """Number of trained kernel weights."""
        return sum(layer.trained_weights for layer in self.layers)

    def to_json(self) -> str:
        """Returns the plan as JSON, one layer a line."""
        head = {"format": "keras_tinytrain.plan", "version": FORMAT_VERSION}
        head |= {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "layers"
        }
        layers = [json.dumps(dataclasses.asdict(c)) for c in self.layers]
        lines = ",\n  ".join(layers)
        return f'{json.dumps(head)[:-1]}, "layers": [\n  {lines}\n]}}\n'

    @classmethod
    def from_json(cls, text: str) -> UpdatePlan:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the text is no plan of this version.
        """
        try:
            data = json.loads(text)
        except (RecursionError, TypeError, ValueError) as error:
            raise ValueError(
                f"Expected the JSON of an update plan. Received: {error}"
            ) from error
        if not isinstance(data, dict):
            data = {}
        kind, version = data.pop("format", None), data.pop("version", None)
        if (kind, version) != ("keras_tinytrain.plan", FORMAT_VERSION):
            raise ValueError(
                "Expected a plan with format='keras_tinytrain.plan' and "
                f"version={FORMAT_VERSION}. Received: format={kind!r}, "
                f"version={version!r}"
            )
        try:
            layers = tuple(PlanLayer(**c) for c in data.pop("layers"))
            plan = cls(layers=layers, **data)
        except (KeyError, TypeError) as error:
            raise ValueError(
                "Expected a plan with the fields of `UpdatePlan`. Received: "
                f"one that lacks or adds some ({error})"
            ) from error
        for name, kind in (
            ("fingerprint", str),
            ("memory_bytes", int),
            ("macs", int),
            ("criterion", str),
            ("cost_model", str),
            ("score", float),
        ):
            value = getattr(plan, name)
            if type(value) is not kind or (
                kind is not str and not 0 <= value < math.inf
            ):
                least = "" if kind is str else ", finite and from 0"
                raise ValueError(
                    f"Expected {name} of a plan to be of type "
                    f"{kind.__name__}{least}. Received: {value!r}"
                )
        if len(plan.channels) < len(plan.layers):
            raise ValueError(
                "Expected every layer of a plan once. Received: "
                f"{[layer.name for layer in plan.layers]}"
            )
        return plan

    def summary(self, print_fn: Any = print) -> None:
        """Prints the trained layers and the cost, as `Model.summary` does.

        Args:
            print_fn: Called with each line.
        """
        row = "{:<28}{:>18}{:>12}".format
        print_fn(row("Layer", "Channels", "Weights"))
        print_fn("=" * 58)
        for layer in self.layers:
            weights = f"{layer.trained_weights:,}"
            print_fn(row(layer.name[-27:], layer.describe(), weights))
        print_fn("=" * 58)
        print_fn(f"Trained weights: {self.trained_weights:,}")
        print_fn(
            f"Memory: {self.memory_bytes / 1024**2:.3f} MB "
            f"({self.cost_model} model)"
        )
        print_fn(f"Backward MACs per sample: {self.macs / 1e6:.2f} M")
        print_fn(f"Criterion: {self.criterion}")
