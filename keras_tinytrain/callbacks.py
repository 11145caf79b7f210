"""Callbacks that decide what `fit` trains."""

from __future__ import annotations

import keras

from keras_tinytrain.budget import Budget
from keras_tinytrain.costs import WAY, layer_costs
from keras_tinytrain.fisher import channel_fisher
from keras_tinytrain.masking import apply_plan
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.selection import first_affordable, select


class TaskAdaptiveSparse(keras.callbacks.Callback):
    """Chooses what to train from the support set, as training begins.

    Scores the channels by Fisher potential, selects layers and channels
    inside the budget and applies that plan: training starts from the wrapped
    weights. Only layers that the budget can reach are scored.

    Args:
        budget: What training may cost.
        criterion: See `keras_tinytrain.select`.
        cost_model: What the budget is counted in, see
            `keras_tinytrain.layer_costs`.

    Example:

    >>> budget = keras_tinytrain.Budget(memory="1MB", macs=6_500_000)
    >>> model.fit(support, callbacks=[TaskAdaptiveSparse(budget)])
    >>> model.plan.summary()
    """

    def __init__(
        self,
        budget: Budget,
        *,
        criterion: str = "earliest",
        cost_model: str = "arena",
    ) -> None:
        super().__init__()
        self.budget = budget
        self.criterion = criterion
        self.cost_model = cost_model

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Scores, selects and applies the plan."""
        # One number for tasks of any usual way: layers within reach, and what
        # is compiled for them, stay the same.
        way = max(self.model.support.way, WAY)
        counted = {"cost_model": self.cost_model, "way": way}
        costs = layer_costs(self.model, **counted)
        first = first_affordable(costs, self.budget, criterion=self.criterion)
        first = costs[first].name
        # A device has the network from there on, whatever it chooses then.
        costs = layer_costs(self.model, **counted, first=first)
        scores = channel_fisher(self.model, self.model.support, first=first)
        plan = select(scores, costs, self.budget, criterion=self.criterion)
        apply_plan(self.model, plan)
        # Plans of one budget share one compiled part of the network.
        self.model.first_candidate = first


class StaticSparse(keras.callbacks.Callback):
    """Trains under a plan that was made before, whatever the task.

    Args:
        plan: The plan, such as `keras_tinytrain.last_layer_plan(costs)`.
    """

    def __init__(self, plan: UpdatePlan) -> None:
        super().__init__()
        self.plan = plan

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Applies the plan."""
        apply_plan(self.model, self.plan)
