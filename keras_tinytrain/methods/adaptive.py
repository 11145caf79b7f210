"""Methods that choose what to train from the support set of each task."""

from __future__ import annotations

import keras

from keras_tinytrain.budget import Budget
from keras_tinytrain.callbacks import TaskAdaptiveSparse
from keras_tinytrain.costs import layer_costs
from keras_tinytrain.methods.learner import PlanLearner
from keras_tinytrain.methods.registry import Settings, register
from keras_tinytrain.model import AdaptiveModel, wrap
from keras_tinytrain.selection import CRITERIA, first_affordable
from keras_tinytrain.sparse_update import find_scheme, sparse_update_plan


@register("tinytrain-published", title="TinyTrain, its rule", adaptive=True)
def tinytrain_published(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains what the published rule chooses inside the budget.

    As `tinytrain`, with layers in the order of the paper's criterion
    `s_i = P_i / ((params_i / max params) * (macs_i / max macs))`.
    """
    model = wrap(net, head=settings.head or "linear")
    return _learner(model, settings, _budget(settings), "tinytrain")


@register("tinytrain", title="TinyTrain", adaptive=True)
def tinytrain(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains the channels that Fisher potential chooses inside the budget.

    One backward pass over the support set scores every channel that the
    budget can reach; `keras_tinytrain.select` chooses layers and channels by
    its default criterion, and only these train, with a vector per class.
    """
    model = wrap(net, head=settings.head or "linear")
    return _learner(model, settings, _budget(settings), CRITERIA[0])


@register(
    "tinytrain-matched",
    title="TinyTrain, budget of SparseUpdate",
    adaptive=True,
)
def tinytrain_matched(net: keras.Model, settings: Settings) -> PlanLearner:
    """Is `tinytrain` with the memory and the MACs that SparseUpdate takes.

    So the two can be compared at equal cost. `settings.scheme` names the
    scheme as it does for `sparseupdate`; a budget is left aside.
    """
    model = wrap(net, head=settings.head or "linear")
    cost_model = settings.cost_model
    scheme = find_scheme(
        layer_costs(model, cost_model=cost_model), settings.scheme
    )
    plan = sparse_update_plan(model, scheme, cost_model=cost_model)
    budget = Budget(plan.memory_bytes, plan.macs)
    return _learner(model, settings, budget, CRITERIA[0])


def _budget(settings: Settings) -> Budget:
    if settings.budget is None:
        raise ValueError(
            "Expected a budget for the tinytrain methods, as "
            'Budget(memory="1MB", macs=6_500_000). Received: budget=None'
        )
    return settings.budget


def _learner(
    model: AdaptiveModel, settings: Settings, budget: Budget, criterion: str
) -> PlanLearner:
    planner = TaskAdaptiveSparse(
        budget, criterion=criterion, cost_model=settings.cost_model
    )
    # Says now, and not in the middle of the first task, what does not fit.
    first_affordable(
        layer_costs(model, cost_model=settings.cost_model),
        budget,
        criterion=criterion,
    )
    return PlanLearner(model, planner, steps=settings.steps, adaptive=True)
