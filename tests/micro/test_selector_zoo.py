"""The device chooses what the host would of the three nets of the zoo."""

import os

import numpy as np
import pytest
from selector_library import Selector

import keras_tinytrain as ktt
from keras_tinytrain import published
from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.selection import CRITERIA

NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")
WAY = 10


def exported(model, name, folder, *, criterion, cost_model):
    """Returns a tail with the budget of the paper, costs and budget."""
    memory, macs = published.costs(name, "tinytrain")
    budget = ktt.Budget(memory=int(memory), macs=round(macs))
    result = ktt.export_micro(
        model,
        folder,
        budget=budget,
        criterion=criterion,
        cost_model=cost_model,
        max_way=WAY,
    )
    data = result.blob.read_bytes()
    candidates = [
        c["name"]
        for c in read_blob(data).layers
        if c["flags"] & layout.CANDIDATE
    ]
    costs = ktt.layer_costs(
        model, cost_model=cost_model, way=WAY, first=candidates[0]
    )
    return data, candidates, costs, budget


def check_same(library, exported, scores, criterion):
    """Asks both, and returns the plan."""
    data, candidates, costs, budget = exported
    scores = {name: np.float32(scores[name]) for name in candidates}
    plan = ktt.select(scores, costs, budget, criterion=criterion)
    device = Selector(library, data).select(scores, classes=WAY)
    assert device == plan.channels
    return plan


@pytest.mark.parametrize("name", NETS)
def test_drawn_scores(name, selectors, tmp_path):
    """As real ones are: over orders of magnitude, and zero of dead channels."""
    model = ktt.wrap(ktt.zoo.build(name, weights=None))
    rng = np.random.default_rng(0)
    for criterion in CRITERIA:
        for cost_model in ("arena", "paper"):
            tail = exported(
                model,
                name,
                tmp_path,
                criterion=criterion,
                cost_model=cost_model,
            )
            scores = {
                c.name: rng.lognormal(-10 * rng.random(), 2.0, c.channels)
                * (rng.random(c.channels) > 0.1)
                for c in tail[2]
            }
            plan = check_same(selectors, tail, scores, criterion)
            assert len(plan.layers) > 1


@pytest.mark.skipif(
    not os.environ.get("KERAS_TINYTRAIN_DATA")
    or not os.environ.get("KERAS_TINYTRAIN_WEIGHTS"),
    reason="no KERAS_TINYTRAIN_DATA or no KERAS_TINYTRAIN_WEIGHTS",
)
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", NETS)
def test_fisher_potentials_of_images(name, criterion, selectors, tmp_path):
    model = ktt.wrap(ktt.zoo.build(name, weights="imagenet"))
    tail = exported(
        model, name, tmp_path, criterion=criterion, cost_model="arena"
    )
    size = model.network.input_shape[1:3]
    episode = ktt.sample_episode(
        ktt.datasets.load("cub", image_size=size),
        seed=0,
        way=3,
        shot=2,
        query=1,
    )
    scores = ktt.channel_fisher(model, episode.support, first=tail[1][0])
    plan = check_same(selectors, tail, scores, criterion)
    assert plan.trained_weights > 0
