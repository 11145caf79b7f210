"""Methods that train what a search has found for the net, once."""

from __future__ import annotations

import keras

from keras_tinytrain.callbacks import StaticSparse
from keras_tinytrain.costs import layer_costs
from keras_tinytrain.methods.learner import PlanLearner
from keras_tinytrain.methods.registry import Settings, register
from keras_tinytrain.model import wrap
from keras_tinytrain.sparse_update import find_scheme, sparse_update_plan


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
