"""A short run of meta-training on the tiny source, and what it leaves."""

import meta_sources
import numpy as np
from meta_sources import EVERY, build_net, build_source

from keras_tinytrain.meta import Recipe, meta_train

RECIPE = Recipe(**meta_sources.RECIPE)


def train(folder, recipe=RECIPE, net=None, **options):
    """Trains the tiny net; returns its weights and the history."""
    net = net or build_net()
    options = {
        "validation": build_source(seed=1),
        "validation_episodes": 3,
        "checkpoint_every": EVERY,
        "verbose": 0,
        **options,
    }
    history = meta_train(
        net, build_source(), folder=folder, recipe=recipe, **options
    )
    return net.get_weights(), history


def assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def read(path):
    with np.load(path) as file:
        return dict(file)
