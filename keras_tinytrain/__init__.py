"""On-device few-shot training of small Keras CNNs inside a budget."""

from keras_tinytrain import datasets, meta, methods, micro, quantization, zoo
from keras_tinytrain.adapters import add_lite_residuals
from keras_tinytrain.budget import Budget, LayerCost, LayerCosts
from keras_tinytrain.callbacks import StaticSparse, TaskAdaptiveSparse
from keras_tinytrain.costs import layer_costs
from keras_tinytrain.episodes import Episode, sample_episode
from keras_tinytrain.examples import Examples
from keras_tinytrain.export import (
    export_micro,
    load_checkpoint,
    save_checkpoint,
)
from keras_tinytrain.fisher import channel_fisher
from keras_tinytrain.lifelong import LifelongLearner
from keras_tinytrain.masking import apply_plan
from keras_tinytrain.model import AdaptiveModel, unwrap, wrap
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.qas import QASOptimizer
from keras_tinytrain.quantization import quantize
from keras_tinytrain.reservoir import Reservoir
from keras_tinytrain.selection import full_plan, last_layer_plan, select
from keras_tinytrain.sparse_update import Scheme, sparse_update_plan
from keras_tinytrain.training import fit
from keras_tinytrain.version import __version__

__all__ = [
    "AdaptiveModel",
    "Budget",
    "Episode",
    "Examples",
    "LayerCost",
    "LayerCosts",
    "LifelongLearner",
    "QASOptimizer",
    "Reservoir",
    "Scheme",
    "StaticSparse",
    "TaskAdaptiveSparse",
    "UpdatePlan",
    "__version__",
    "add_lite_residuals",
    "apply_plan",
    "channel_fisher",
    "datasets",
    "export_micro",
    "fit",
    "full_plan",
    "last_layer_plan",
    "layer_costs",
    "load_checkpoint",
    "meta",
    "methods",
    "micro",
    "quantization",
    "quantize",
    "sample_episode",
    "save_checkpoint",
    "select",
    "sparse_update_plan",
    "unwrap",
    "wrap",
    "zoo",
]
