"""Methods that train biases and small modules beside the blocks of a net."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from keras_tinytrain.adapters import (
    PREFIX,
    add_lite_residuals,
    dropped_blocks,
)
from keras_tinytrain.callbacks import StaticSparse
from keras_tinytrain.costs import (
    backward_macs,
    batch_train_bytes,
    layer_costs,
)
from keras_tinytrain.graph import flatten
from keras_tinytrain.inverted_residuals import find_blocks
from keras_tinytrain.methods.learner import PlanLearner
from keras_tinytrain.methods.registry import Settings, register
from keras_tinytrain.model import AdaptiveModel, wrap
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.selection import make_plan


@register("adapterdrop75", title="AdapterDrop-75%")
def adapterdrop75(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains as `tinytl` does, in the last quarter of the blocks alone.

    AdapterDrop (Rueckle et al.): the first three quarters of the blocks,
    rounded down, have no module. Biases up to there stay as they are, so that
    no gradient has to go there.
    """
    return _learner(net, settings, "adapterdrop75", drop=0.75)


@register("adapterdrop50", title="AdapterDrop-50%")
def adapterdrop50(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains as `tinytl` does, in the second half of the blocks alone.

    AdapterDrop (Rueckle et al.): the first half of the blocks, rounded down,
    has no module, and biases up to there stay as they are.
    """
    return _learner(net, settings, "adapterdrop50", drop=0.5)


@register("adapterdrop25", title="AdapterDrop-25%")
def adapterdrop25(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains as `tinytl` does, without the first quarter of the blocks.

    AdapterDrop (Rueckle et al.): the first quarter of the blocks, rounded
    down, has no module, and biases up to there stay as they are.
    """
    return _learner(net, settings, "adapterdrop25", drop=0.25)


@register("tinytl", title="TinyTL")
def tinytl(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains all biases, and lite residual modules beside the blocks.

    TinyTL (Cai et al., "Reduce Memory, Not Parameters"): the weights of the
    net are frozen; each inverted residual block gets a small branch at half
    the resolution, all of which trains (`add_lite_residuals`). Here the
    modules are not pre-trained: they begin as nothing. Under the paper's cost
    model its memory is that of a batch of 100, as published.
    """
    return _learner(net, settings, "tinytl", drop=0.0)


def _learner(
    net: keras.Model, settings: Settings, name: str, *, drop: float
) -> PlanLearner:
    enlarged = add_lite_residuals(net, drop=drop)
    model = wrap(enlarged, head=settings.head or "linear")
    plan = _plan(model, name, drop, settings.cost_model)
    return PlanLearner(model, StaticSparse(plan), steps=settings.steps)


def _plan(
    model: AdaptiveModel, name: str, drop: float, cost_model: str
) -> UpdatePlan:
    """Trains the modules, and the biases behind the dropped blocks."""
    costs = layer_costs(model, cost_model=cost_model)
    ops, _ = flatten(model.source)
    blocks, names = find_blocks(ops), [op.name for op in ops]
    dropped = dropped_blocks(blocks, drop)
    start = names.index(blocks[dropped].first) if dropped else 0
    trained = [c for c in costs if c.name in names[start:]]
    modules = {
        c.name: np.arange(c.channels)
        for c in costs
        if c.name.startswith(PREFIX)
    }
    biases = [c.name for c in trained if c.biases and c.name not in modules]
    plan = make_plan(modules, costs, name, biases=biases)
    if cost_model == "arena":
        return plan
    return dataclasses.replace(
        plan,
        memory_bytes=batch_train_bytes(model, plan),
        macs=backward_macs(model, plan),
    )
