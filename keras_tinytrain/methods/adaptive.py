"""Methods that choose what to train from the support set of each task."""

from __future__ import annotations

import keras

from keras_tinytrain.callbacks import TaskAdaptiveSparse
from keras_tinytrain.costs import layer_costs
from keras_tinytrain.methods.learner import PlanLearner
from keras_tinytrain.methods.registry import Settings, register
from keras_tinytrain.model import wrap
from keras_tinytrain.selection import first_affordable


@register("tinytrain", title="TinyTrain", adaptive=True)
def tinytrain(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains the channels that Fisher potential chooses inside the budget.

    One backward pass over the support set scores every channel that the
    budget can reach; `keras_tinytrain.select` chooses layers and channels by
    its default criterion, and only these train, with a vector per class.
    """
    model = wrap(net, head=settings.head or "linear")
    if settings.budget is None:
        raise ValueError(
            "Expected a budget for method 'tinytrain', as "
            'Budget(memory="1MB", macs=6_500_000). Received: budget=None'
        )
    planner = TaskAdaptiveSparse(
        settings.budget, cost_model=settings.cost_model
    )
    # Says now, and not in the middle of the first task, what does not fit.
    first_affordable(
        layer_costs(model, cost_model=settings.cost_model),
        settings.budget,
        criterion=planner.criterion,
    )
    return PlanLearner(model, planner, steps=settings.steps, adaptive=True)
