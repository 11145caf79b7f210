"""Bytes of the two regions that an export names."""

from __future__ import annotations

from keras_tinytrain.budget import Budget, LayerCosts
from keras_tinytrain.plan import UpdatePlan


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
) -> dict[str, int]:
    """Returns what the operator takes of its regions, to train any task.

    Args:
        costs: What the device is counted by.
        plan: What trains, or is expected to.
        candidates: Layers that may train.
        criterion: How the device selects.
        budget: What it selects by, or None.
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
    return {"persistent_bytes": persistent, "work_bytes": work}
