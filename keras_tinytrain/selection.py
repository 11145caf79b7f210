"""Chooses the layers and channels that train, inside a budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from keras_tinytrain.budget import Budget, LayerCosts
from keras_tinytrain.plan import PlanLayer, UpdatePlan

CRITERIA = ("earliest", "tinytrain")
# Share of the MACs that may go to gradients of inputs.
MAX_CHAIN_SHARE = 0.95


def select(
    scores: Mapping[str, np.ndarray],
    costs: LayerCosts,
    budget: Budget,
    *,
    criterion: str = "earliest",
) -> UpdatePlan:
    """Chooses layers and channels by Fisher potential under both budgets.

    For each layer that could be the first one trained, channels are taken
    in the order of the criterion as long as they fit, of this layer alone
    and of all from it on, the chain of input gradients back to that layer
    paid first. Of these candidates the one worth most wins. A larger budget
    never lowers that worth, since each candidate only grows.

    Args:
        scores: Fisher potential of each channel by layer, `(channels,)`.
            Layers that are left out do not train.
        costs: Costs of all layers, from `layer_costs`.
        budget: What training may cost, in bytes of the cost model.
        criterion: `"tinytrain"` is the paper's: layers in the order of
            `s_i = P_i / ((params_i / max params) * (macs_i / max macs))`,
            `P_i` the sum over channels, then channels by their potential;
            a candidate is worth the sum of its potentials.
            `"earliest"` takes layers in the order of the network, without
            depthwise ones, then channels by their potential. A channel is
            worth its MACs times those of the chain back to it: so as many
            weights train as both budgets hold, early, where the maps are
            large. Candidates begin with a layer that does not narrow, if one
            fits. This is better in the mean (docs/reproduce.md).

    Returns:
        The `UpdatePlan`.

    Raises:
        ValueError: If no channel fits, with the smallest budget that would
            do; if scores do not belong to the layers; or if the criterion is
            unknown.

    Reference:
        - [TinyTrain](https://arxiv.org/abs/2307.09988), equations 2 and 3.
    """
    _check(scores, costs, criterion)
    chosen = [
        i for i in _candidates(costs, criterion) if costs[i].name in scores
    ]
    items = _Items(scores, costs, chosen)
    limits = budget.memory_limit(), budget.macs_limit(costs.full_macs)
    if criterion == "tinytrain":
        starts, worth = chosen, items.score
        order = _published_order(items, costs)
    else:
        starts = [i for i in chosen if costs[i].channels >= costs[i].inputs]
        worth = _worth_of_depth(items, costs)
        order = np.lexsort((-items.score, items.layer))
    best, most = _best(starts, order, worth, items, costs, limits)
    if best is None:
        # Worth nothing, so that a budget for more is never worth less.
        nothing = np.zeros_like(worth)
        best, most = _best(chosen, order, nothing, items, costs, limits)
    if best is None:
        raise ValueError(_too_small(chosen, costs, budget))
    channels = {
        costs[i].name: np.sort(items.channel[best[items.layer[best] == i]])
        for i in np.unique(items.layer[best])
    }
    return make_plan(channels, costs, criterion, float(most))


def first_affordable(
    costs: LayerCosts, budget: Budget, *, criterion: str = "earliest"
) -> int:
    """Returns the index of the earliest layer that is worth scoring.

    From there on the budget can train a layer, and keeps something for it:
    the chain of input gradients may take up to `MAX_CHAIN_SHARE` of the MACs,
    unless no layer does with less.

    Raises:
        ValueError: If it is too small for any layer.
    """
    memory, macs = budget.memory_limit(), budget.macs_limit(costs.full_macs)
    candidates = _candidates(costs, criterion)
    affordable = []
    for i in candidates:
        one = {costs[i].name: 1}
        if costs.memory_bytes(one) <= memory and costs.macs(one) <= macs:
            affordable.append(i)
            chain = costs.macs(one) - costs[i].macs // costs[i].channels
            if chain <= MAX_CHAIN_SHARE * macs:
                return i
    if not affordable:
        raise ValueError(_too_small(candidates, costs, budget))
    return affordable[0]


def make_plan(
    channels: Mapping[str, np.ndarray],
    costs: LayerCosts,
    criterion: str,
    score: float = 0.0,
    *,
    inputs: Mapping[str, np.ndarray] | None = None,
    biases: Collection[str] = (),
) -> UpdatePlan:
    """Returns the plan that trains these channels.

    Args:
        channels: Indices of trained output channels by layer.
        costs: Costs of all layers.
        criterion: Name of what chose them.
        score: What the criterion takes them to be worth.
        inputs: Indices of trained input channels by layer.
        biases: Layers of which all biases train.

    Raises:
        ValueError: If indices are not those of the layer, or a layer has no
            biases to train.
    """
    inputs = inputs or {}
    unbiased = [c.name for c in costs if c.name in biases and not c.biases]
    if unbiased:
        raise ValueError(
            "Expected layers with biases, to train all of them. Received: "
            f"layers {unbiased} without"
        )
    layers = (
        PlanLayer(
            name=cost.name,
            size=cost.channels,
            weights=cost.weights // cost.channels,
            channels=tuple(int(c) for c in channels.get(cost.name, ())),
            inputs=tuple(int(c) for c in inputs.get(cost.name, ())),
            input_size=cost.inputs,
            bias=cost.name in biases,
            index=index,
        )
        for index, cost in enumerate(costs)
    )
    counts = {name: len(c) for name, c in channels.items()}
    parts = {
        "inputs": {name: len(c) for name, c in inputs.items()},
        "biases": biases,
    }
    return UpdatePlan(
        layers=tuple(c for c in layers if c.channels or c.inputs or c.bias),
        fingerprint=costs.fingerprint,
        memory_bytes=costs.memory_bytes(counts, **parts),
        macs=costs.macs(counts, **parts),
        criterion=criterion,
        cost_model=costs.model,
        score=score,
    )


def full_plan(costs: LayerCosts) -> UpdatePlan:
    """Returns the plan of FullTrain: every channel of every layer."""
    every = {cost.name: np.arange(cost.channels) for cost in costs}
    return make_plan(every, costs, "full")


def last_layer_plan(costs: LayerCosts) -> UpdatePlan:
    """Returns the plan of LastLayer: the last convolution or dense layer."""
    last = costs[-1]
    return make_plan({last.name: np.arange(last.channels)}, costs, "lastlayer")


class _Items:
    """All channels that may train, as parallel arrays."""

    def __init__(self, scores, costs, layers) -> None:
        sizes = [costs[i].channels for i in layers]
        self.layer = np.repeat(layers, sizes)
        self.channel = np.concatenate([np.arange(n) for n in sizes])
        self.score = np.concatenate(
            [np.asarray(scores[costs[i].name], float) for i in layers]
        )
        each = [costs.channel_bytes(i) for i in layers]
        self.bytes = np.repeat(each, sizes)
        self.macs = np.repeat(
            [costs[i].macs // costs[i].channels for i in layers], sizes
        )


def _candidates(costs: LayerCosts, criterion: str) -> list[int]:
    """Lists the layers that may train."""
    candidates = [
        i
        for i, cost in enumerate(costs)
        if criterion == "tinytrain" or not cost.per_channel_input
    ]
    if not candidates:
        raise ValueError(
            f"Expected a layer that may train under criterion {criterion!r}. "
            "Received: a network of depthwise layers. Use 'tinytrain'."
        )
    return candidates


def _published_order(items, costs) -> np.ndarray:
    """Ranks all items, best first; ties by layer and channel."""
    potential = np.bincount(items.layer, items.score, len(costs))
    weights = np.array([cost.weights for cost in costs], float)
    macs = np.array([cost.macs for cost in costs], float)
    of_layer = potential / (weights / weights.max() * (macs / macs.max()))
    # The last key is the most important one. The layer's number keeps the
    # channels of layers with equal criteria together.
    return np.lexsort((-items.score, items.layer, -of_layer[items.layer]))


def _worth_of_depth(items, costs) -> np.ndarray:
    """Values each item by its MACs and those of the chain back to it."""
    macs = np.array([cost.macs for cost in costs])
    chain = macs.sum() - np.cumsum(macs)
    return items.macs * chain[items.layer]


def _best(starts, order, worth, items, costs, limits):
    """Returns the items of the best candidate, and what it is worth."""
    best, most = None, -1.0
    ranked = items.layer[order]
    for first in starts:
        for some in (order[ranked >= first], order[ranked == first]):
            some = _affordable(first, items, some, costs, limits[1])
            # Sums in another order may differ in the last bits.
            if worth[some].sum() * (1 + 1e-9) < most:
                continue
            taken = _fill(items, some, costs, limits[0])
            if not len(taken):
                continue
            # In order, as a device adds them up: ties are the same to the
            # last bit, and rounding never makes more channels worth less.
            total = np.cumsum(worth[taken])[-1]
            if total > most:
                best, most = taken, total
    return best, most


def _affordable(first, items, order, costs, limit) -> np.ndarray:
    """Takes items of layers from `first` on, until one has too many MACs."""
    macs = costs.macs({costs[first].name: 1}) - (
        costs[first].macs // costs[first].channels
    )
    fits = macs + np.cumsum(items.macs[order]) <= limit
    return order[: len(order) if fits.all() else np.argmin(fits)]


def _fill(items, order, costs, limit) -> np.ndarray:
    """Takes items until one does not fit the memory.

    What a plan takes besides its channels depends on its layers, and is never
    less with one more. So the last layer of which anything fits is found by
    halving, and then how much of it.
    """
    if not len(order) or limit == float("inf"):
        return order
    memory = np.cumsum(items.bytes[order])
    layers = items.layer[order]
    starts = np.flatnonzero(np.diff(layers, prepend=-1))

    def fixed(count: int) -> int:
        return costs.fixed_bytes(layers[starts[:count]].tolist())

    if fixed(len(starts)) + memory[-1] <= limit:
        return order
    low, high = 0, len(starts)  # Of `low` layers something fits.
    while low < high:
        middle = (low + high + 1) // 2
        if fixed(middle) + memory[starts[middle - 1]] <= limit:
            low = middle
        else:
            high = middle - 1
    if not low:
        return order[:0]
    end = starts[low] if low < len(starts) else len(order)
    fitting = np.searchsorted(memory, limit - fixed(low), "right")
    return order[: min(fitting, end)]


def _check(scores, costs, criterion) -> None:
    if criterion not in CRITERIA:
        raise ValueError(
            f"Expected criterion to be one of {CRITERIA}. Received: "
            f"criterion={criterion!r}"
        )
    sizes = {cost.name: cost.channels for cost in costs}
    for name, score in scores.items():
        if np.shape(score) != (sizes.get(name, -1),):
            raise ValueError(
                f"Expected scores of the layers {sorted(sizes)[:4]}..., one "
                f"per channel. Received: {name!r} with shape "
                f"{np.shape(score)} for {sizes.get(name, 'no')} channels"
            )
        if not np.isfinite(score).all() or np.min(score) < 0:
            raise ValueError(
                "Expected finite scores from 0. Received: "
                f"{np.asarray(score)} for layer {name!r}"
            )
    if not any(costs[i].name in scores for i in _candidates(costs, criterion)):
        raise ValueError(
            "Expected scores of a layer that may train under criterion "
            f"{criterion!r}. Received: scores of {list(scores)}"
        )


def _too_small(layers, costs, budget) -> str:
    """Says which budget would do for one channel."""
    smallest = [
        (
            costs.memory_bytes({costs[i].name: 1}),
            costs.macs({costs[i].name: 1}),
        )
        for i in layers
    ]
    memory = min(smallest)
    macs = min(smallest, key=lambda pair: pair[1])
    return (
        "Expected a budget that one channel of one layer fits. The smallest "
        f"in memory takes {memory[0]:,} bytes and {memory[1]:,} MACs, the "
        f"smallest in MACs {macs[1]:,} MACs and {macs[0]:,} bytes "
        f"({costs.model} model). Received: {budget}"
    )
