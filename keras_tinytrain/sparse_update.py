"""SparseUpdate: what trains is fixed for a network, whatever the task."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from keras_tinytrain.budget import LayerCost, LayerCosts, fingerprint
from keras_tinytrain.costs import layer_costs
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.selection import make_plan

FORMAT = "keras_tinytrain.sparse_update"
FORMAT_VERSION = 1

_FILE = pathlib.Path(__file__).with_suffix(".json")


@dataclasses.dataclass(frozen=True)
class Scheme:
    """How much of each layer trains, for any weights of one network.

    Layers are counted from the first one, 0. A network may have more of them
    behind, such as a classifier, which stay frozen.

    Attributes:
        name: What it is called.
        fingerprint: `LayerCosts.fingerprint` of the layers that it counts.
        layers: How many it counts.
        biases: Of the last so many of them all biases train.
        ratios: Share of the input channels whose weights train, by layer;
            of the channels of a depthwise layer. All from those layers.

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472), section 2.2.
    """

    name: str
    fingerprint: str
    layers: int
    biases: int
    ratios: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        ratios = self.ratios
        if isinstance(ratios, Mapping):
            ratios = ratios.items()
        ratios = tuple(sorted((i, float(ratio)) for i, ratio in ratios))
        object.__setattr__(self, "ratios", ratios)
        numbers = self.layers, self.biases
        if not (
            isinstance(self.name, str)
            and isinstance(self.fingerprint, str)
            and all(type(n) is int for n in numbers)
            and 0 <= self.biases <= self.layers
        ):
            raise ValueError(
                "Expected a name, a fingerprint and biases of 0 to all "
                f"layers. Received: name={self.name!r}, fingerprint="
                f"{self.fingerprint!r}, layers={self.layers!r}, "
                f"biases={self.biases!r}"
            )
        first = self.layers - self.biases
        if not all(
            first <= i < self.layers and 0.0 <= ratio <= 1.0
            for i, ratio in ratios
        ):
            raise ValueError(
                "Expected ratios from 0.0 to 1.0 of layers whose biases "
                f"train, {first} to {self.layers - 1}. Received: {ratios} in "
                f"scheme {self.name!r}"
            )

    def to_json(self) -> str:
        """Returns the scheme as JSON."""
        fields = dataclasses.asdict(self) | {"ratios": dict(self.ratios)}
        head = {"format": FORMAT, "version": FORMAT_VERSION}
        return json.dumps(head | fields, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Scheme:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the text is no scheme of this version.
        """
        try:
            data = json.loads(text)
            kind, version = data.pop("format"), data.pop("version")
            ratios = data.pop("ratios").items()
            data["ratios"] = {int(i): float(ratio) for i, ratio in ratios}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            kind, version, data = f"none ({error!r})", None, {}
        fields = {field.name for field in dataclasses.fields(cls)}
        if (kind, version) != (FORMAT, FORMAT_VERSION) or set(data) != fields:
            raise ValueError(
                f"Expected a scheme with format={FORMAT!r}, version="
                f"{FORMAT_VERSION} and the fields of `Scheme`. Received: "
                f"format={kind!r}, version={version!r}, {sorted(data)}"
            )
        return cls(**data)


def published_schemes(costs: LayerCosts) -> dict[str, Scheme]:
    """Returns the published schemes of a network, the default one first.

    There are five for each net of the zoo, named after the memory that they
    add to inference at int8 and batch 1. The default is that of about 100 KB,
    which is the paper's for MCUNet. They belong to the nets without a last
    1x1 convolution (`mix`), which stays frozen where there is one.

    Args:
        costs: Costs of all layers.

    Returns:
        The schemes by name; empty for any other network.
    """
    for net in _read()["nets"].values():
        if _counted(costs, net["layers"]) == net["fingerprint"]:
            schemes = {
                name: Scheme(
                    name,
                    net["fingerprint"],
                    net["layers"],
                    entry["biases"],
                    {int(i): r for i, r in entry["ratios"].items()},
                )
                for name, entry in net["schemes"].items()
            }
            default = net["default"]
            return {default: schemes[default], **schemes}
    return {}


def find_scheme(
    costs: LayerCosts, source: str | os.PathLike | None = None
) -> Scheme:
    """Returns a scheme of a network.

    Args:
        costs: Costs of all layers.
        source: Name of a published scheme, as `"99kb"`, or the path of a
            file with a scheme; None is the default published one.

    Raises:
        ValueError: If there is no such scheme, or the file's belongs to
            another network.
    """
    published = published_schemes(costs)
    if source is None and published:
        return next(iter(published.values()))
    if source in published:
        return published[source]
    if source is not None and pathlib.Path(source).is_file():
        scheme = Scheme.from_json(pathlib.Path(source).read_bytes())
        _check(scheme, costs)
        return scheme
    raise ValueError(
        "Expected the file of a scheme, or the name of a published one for "
        f"this network ({', '.join(published) or 'there is none'}). Received: "
        f"scheme={source!r}. `python examples/search_sparse_update.py "
        "--net=NET --out=FILE` searches one."
    )


def sparse_update_plan(
    model,
    scheme: Scheme | None = None,
    *,
    cost_model: str = "arena",
) -> UpdatePlan:
    """Returns the plan of a scheme for the weights of a model.

    Of each layer the input channels with the largest norm train: the root of
    the sum of squares of all wrapped weights that read the channel, any
    BatchNormalization folded. Of a depthwise layer it is output channels.

    Args:
        model: A wrapped model.
        scheme: A scheme of its network; None is the default published one.
        cost_model: What its costs are counted in, see
            `keras_tinytrain.layer_costs`.

    Raises:
        ValueError: If the scheme belongs to another network, or there is no
            published one.

    Example:

    >>> plan = sparse_update_plan(model)
    >>> model.fit(support, callbacks=[StaticSparse(plan)])

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472); the choice of channels
          is "magnitude+" of tiny-training's `partial_backward.py`.
    """
    costs = layer_costs(model, cost_model=cost_model)
    scheme = scheme or find_scheme(costs)
    _check(scheme, costs)
    channels, inputs = {}, {}
    for index, ratio in scheme.ratios:
        cost = costs[index]
        kernel = model.network.layers[cost.name].folded()[0].numpy()
        by_input = not cost.per_channel_input
        axis = kernel.ndim - (2 if by_input else 1)
        found = inputs if by_input else channels
        found[cost.name] = _largest(kernel, axis, trained_count(cost, ratio))
    first = scheme.layers - scheme.biases
    # A layer without biases has none to train.
    biases = [c.name for c in costs[first : scheme.layers] if c.biases]
    return make_plan(
        channels,
        costs,
        f"sparseupdate {scheme.name}",
        inputs=inputs,
        biases=biases,
    )


def trained_count(cost: LayerCost, ratio: float) -> int:
    """Returns how many channels a ratio of a layer is, rounded down.

    Args:
        cost: Cost of the layer, whose input channels are counted; the
            channels of a depthwise layer.
        ratio: Share of them.
    """
    return int((cost.inputs or cost.channels) * ratio)


def _largest(kernel: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Returns the indices on an axis with the largest norms, sorted."""
    others = tuple(i for i in range(kernel.ndim) if i != axis)
    norms = np.square(kernel, dtype=np.float64).sum(axis=others)
    order = np.argsort(-norms, kind="stable")
    return np.sort(order[:count])


def _check(scheme: Scheme, costs: LayerCosts) -> None:
    found = _counted(costs, scheme.layers)
    if scheme.fingerprint != found:
        raise ValueError(
            f"Expected a scheme for {scheme.layers} layers with the "
            f"fingerprint {found!r}. Received: scheme {scheme.name!r} for "
            f"{scheme.fingerprint!r}. Search one for this network."
        )


def _counted(costs: LayerCosts, layers: int) -> str:
    """Identifies the first layers of a network."""
    return fingerprint((c.name, c.channels, c.weights) for c in costs[:layers])


@functools.cache
def _read() -> dict:
    return json.loads(_FILE.read_text())
