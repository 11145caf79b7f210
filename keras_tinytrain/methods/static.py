"""Methods that train the same weights whatever the task."""

from __future__ import annotations

import keras

from keras_tinytrain.callbacks import StaticSparse
from keras_tinytrain.costs import full_train_bytes, layer_costs
from keras_tinytrain.methods.learner import PlanLearner
from keras_tinytrain.methods.registry import Settings, register
from keras_tinytrain.model import wrap
from keras_tinytrain.selection import full_plan, last_layer_plan, make_plan
from keras_tinytrain.sparse_update import find_scheme, sparse_update_plan


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


def _full(net: keras.Model, settings: Settings, head: str) -> PlanLearner:
    model = wrap(net, head=settings.head or head)
    costs = layer_costs(model, cost_model=settings.cost_model)
    paper = settings.cost_model == "paper"
    return PlanLearner(
        model,
        StaticSparse(full_plan(costs)),
        steps=settings.steps,
        memory_bytes=full_train_bytes(model) if paper else None,
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


@register("sparseupdate", title="SparseUpdate")
def sparseupdate(net: keras.Model, settings: Settings) -> PlanLearner:
    """Trains what a scheme says that was searched offline, once for a net.

    The biases of the last layers, and of some of these the weights of the
    input channels with the largest norm (Lin et al., "On-Device Training
    Under 256KB Memory"). The nets of the zoo have published schemes, of which
    that of about 100 KB is taken; for another net `settings.scheme` names the
    file of one. Head and training are those of the other methods.
    """
    model = wrap(net, head=settings.head or "linear")
    costs = layer_costs(model, cost_model=settings.cost_model)
    scheme = find_scheme(costs, settings.scheme)
    plan = sparse_update_plan(model, scheme, cost_model=settings.cost_model)
    return PlanLearner(model, StaticSparse(plan), steps=settings.steps)
