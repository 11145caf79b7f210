"""Meta-training: nets that are good at learning from few images."""

from keras_tinytrain.meta.progress import plot_curve
from keras_tinytrain.meta.recipe import STYLES, TASKS, Recipe
from keras_tinytrain.meta.strategies import is_chief, make_strategy
from keras_tinytrain.meta.train import meta_train
from keras_tinytrain.zoo.weight_files import (
    load_weights_file,
    save_weights_file,
)

__all__ = [
    "STYLES",
    "TASKS",
    "Recipe",
    "is_chief",
    "load_weights_file",
    "make_strategy",
    "meta_train",
    "plot_curve",
    "save_weights_file",
]
