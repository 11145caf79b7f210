"""Methods that train nothing, a layer or everything of a net."""

from __future__ import annotations

import dataclasses

import keras

from keras_tinytrain.callbacks import StaticSparse
from keras_tinytrain.costs import batch_train_bytes, layer_costs
from keras_tinytrain.methods.learner import PlanLearner
from keras_tinytrain.methods.registry import Settings, register
from keras_tinytrain.model import wrap
from keras_tinytrain.selection import full_plan, last_layer_plan, make_plan


@register("none", title="None")
def none(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains nothing: an image gets the class whose mean is nearest.

    The class means are those of the support embeddings, compared by cosine,
    as in prototypical networks.
    """
    model = wrap(net, head=settings.head or "prototype")
    costs = layer_costs(model, cost_model=settings.cost_model)
    planner = StaticSparse(make_plan({}, costs, "none"))
    return PlanLearner(model, planner, steps=0)


@register("full", title="FullTrain")
def full(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains every weight by the recipe of PMF, as the paper does.

    Prototypes take the place of a classifier and carry gradient; the support
    images, augmented anew in every step, are the queries. Under the paper's
    cost model its memory is that of a batch of 100, as published; the other
    methods accumulate the gradient one sample at a time.
    """
    return _full(net, settings, "prototype")


@register("full-linear", title="FullTrain, linear head")
def full_linear(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains every weight and one vector per class, which starts as its mean.

    This is FullTrain with the head of `tinytrain`: what differs between the
    two is the choice of the weights alone.
    """
    return _full(net, settings, "linear")


def _full(
    net: keras.Model,
    settings: Settings,
    head: str,
    *,
    transductive: bool = False,
) -> PlanLearner:
    model = wrap(net, head=settings.head or head)
    plan = full_plan(layer_costs(model, cost_model=settings.cost_model))
    if settings.cost_model == "paper":
        memory = batch_train_bytes(model, plan)
        plan = dataclasses.replace(plan, memory_bytes=memory)
    return PlanLearner(
        model,
        StaticSparse(plan),
        steps=settings.steps,
        transductive=transductive,
    )


@register("lastlayer", title="LastLayer")
def lastlayer(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains the last convolution or dense layer, and the vectors of a head.

    The paper's "training the last layer only": there is no classifier in its
    cost table, so that the last layer is the last convolution.
    """
    model = wrap(net, head=settings.head or "linear")
    costs = layer_costs(model, cost_model=settings.cost_model)
    planner = StaticSparse(last_layer_plan(costs))
    return PlanLearner(model, planner, steps=settings.steps)


@register("transductive", title="Transductive")
def transductive(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains every weight, on the images to be classified as well.

    Transductive fine-tuning (Dhillon et al., "A Baseline for Few-Shot Image
    Classification"): a vector per class, which starts as its mean, all
    weights, and a loss that is the cross-entropy of the support images plus
    the mean entropy of the predictions for the query images, without their
    labels. The entropy is a share of the largest one, `ln(way)`, so that it
    counts the same in a task of any way. A step takes 64 of the query images,
    drawn anew. Memory is counted as FullTrain's, at a batch of 100.
    """
    return _full(net, settings, "linear", transductive=True)
