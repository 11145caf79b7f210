"""Bytes of the two regions that an export names."""

from __future__ import annotations

import numpy as np

from keras_tinytrain.budget import Budget, LayerCosts
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.selection import select


def region_bytes(costs: LayerCosts, plan: UpdatePlan | None) -> tuple[int, int]:
    """Returns what training takes of `persistent` and `work`.

    Args:
        costs: What the device is counted by.
        plan: What trains; None: nothing but the head.
    """
    layers = plan.layers if plan else ()
    counts = {c.name: len(c.channels) for c in layers}
    parts = {
        "inputs": {c.name: len(c.inputs) for c in layers},
        "biases": [c.name for c in layers if c.bias],
    }
    work = costs.work_bytes(counts, **parts)
    return costs.memory_bytes(counts, **parts) - work, work


def operator_bytes(
    costs: LayerCosts,
    plan: UpdatePlan,
    candidates: list[str],
    criterion: str,
    budget: Budget | None,
    *,
    is_int8: bool,
) -> dict[str, int]:
    """Returns what the operator takes of its regions, to train any task.

    Args:
        costs: What the device is counted by.
        plan: What trains, or is expected to.
        candidates: Layers that may train.
        criterion: How the device selects.
        budget: What it selects by, or None.
        is_int8: Whether the tail is int8; costs are those of float32.
    """
    persistent, work = region_bytes(costs, plan)
    if criterion == "tinytrain" and budget and budget.memory_bytes is not None:
        # Every task has layers of its own: the more memory for their
        # channels, the less work they make.
        total = max(persistent + work, budget.memory_bytes)
        counts = {cost.name: cost.channels for cost in costs}
        last, every = candidates[-1], {n: counts[n] for n in candidates}
        persistent = total - costs.work_bytes({last: counts[last]})
        work = min(costs.work_bytes(every), total)
    size = {"persistent_bytes": persistent, "work_bytes": work}
    if is_int8:
        return _int8_bytes(size, costs, plan, candidates, budget, criterion)
    return size


def _int8_bytes(
    size: dict[str, int],
    costs: LayerCosts,
    plan: UpdatePlan,
    candidates: list[str],
    budget: Budget | None,
    criterion: str,
) -> dict[str, int]:
    """Returns what is enough for an int8 tail, of which `costs` are float32.

    Each trained weight has an int8 row besides, each bias an int32. Work is
    less, down to a quarter, so that a device which selects takes more channels
    instead.
    """
    persistent = size["persistent_bytes"] + _int8_rows(costs, plan)
    if budget is not None and budget.memory_bytes is not None:
        work, least_work = size["work_bytes"], size["work_bytes"] // 4
        memory = budget.memory_bytes + work - least_work
        more = Budget(memory, budget.macs)
        scores = {c.name: np.ones(c.channels) for c in costs}
        scores = {name: scores[name] for name in candidates}
        most = select(scores, costs, more, criterion=criterion)
        left = region_bytes(costs, most)[0] + _int8_rows(costs, most)
        left = min(left, budget.memory_bytes - least_work)
        persistent = max(persistent, left)
    return size | {"persistent_bytes": persistent}


def _int8_rows(costs: LayerCosts, plan: UpdatePlan) -> int:
    """Returns the bytes of what trains, as the kernels read it."""
    weights = {cost.name: cost.weights // cost.channels for cost in costs}
    return sum(len(c.channels) * (weights[c.name] + 4) for c in plan.layers)
