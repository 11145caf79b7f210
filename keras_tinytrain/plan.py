"""The update plan: all that selection decides, in one value."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class PlanLayer:
    """The trained channels of one layer.

    Attributes:
        name: Name of the layer.
        size: Number of its output channels.
        weights: Kernel weights of one channel.
        channels: Sorted indices of the trained channels.
    """

    name: str
    size: int
    weights: int
    channels: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not all(
            type(n) is int and n >= 0 for n in (self.size, self.weights)
        ):
            raise ValueError(
                "Expected a layer name and sizes from 0. Received: "
                f"name={self.name!r}, size={self.size!r}, "
                f"weights={self.weights!r}"
            )
        channels = tuple(self.channels)
        object.__setattr__(self, "channels", channels)
        if not all(type(c) is int and 0 <= c < self.size for c in channels):
            raise ValueError(
                f"Expected channels of layer {self.name!r} to be integers "
                f"from 0 to {self.size - 1}. Received: {channels}"
            )
        if list(channels) != sorted(set(channels)):
            raise ValueError(
                f"Expected sorted distinct channels of layer {self.name!r}. "
                f"Received: {channels}"
            )


@dataclasses.dataclass(frozen=True)
class UpdatePlan:
    """Which channels of which layers train, and what that costs.

    All that training, export and the device need to know of a selection.

    Attributes:
        layers: The layers with trained channels, in network order.
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
        """Trained channels by layer."""
        return {layer.name: layer.channels for layer in self.layers}

    @property
    def trained_weights(self) -> int:
        """Number of trained kernel weights."""
        return sum(len(c.channels) * c.weights for c in self.layers)

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
        row = "{:<32}{:>14}{:>12}".format
        print_fn(row("Layer", "Channels", "Weights"))
        print_fn("=" * 58)
        for layer in self.layers:
            count = len(layer.channels)
            print_fn(
                row(
                    layer.name[-31:],
                    f"{count}/{layer.size}",
                    f"{count * layer.weights:,}",
                )
            )
        print_fn("=" * 58)
        print_fn(f"Trained weights: {self.trained_weights:,}")
        print_fn(
            f"Memory: {self.memory_bytes / 1024**2:.3f} MB "
            f"({self.cost_model} model)"
        )
        print_fn(f"Backward MACs per sample: {self.macs / 1e6:.2f} M")
        print_fn(f"Criterion: {self.criterion}")
