"""The device chooses what the host would, channel for channel."""

import ctypes
import dataclasses

import numpy as np
import pytest
from selector_cases import SCORES, build_net, draw_budget, draw_scores
from selector_library import (
    Selector,
    build_library,
    with_candidates,
    with_training,
)

import keras_tinytrain as ktt
from keras_tinytrain.export.contents import training_record
from keras_tinytrain.selection import CRITERIA

NETS = 12
TRIPLES = 20  # Of each net.


@pytest.fixture(scope="module")
def library(compiler, tmp_path_factory):
    path = tmp_path_factory.mktemp("selector") / "selector.so"
    return build_library(compiler, path)


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Blobs of whole networks, and their costs in both models."""
    folder = tmp_path_factory.mktemp("blobs")
    found = []
    for seed in range(NETS):
        model = build_net(seed)
        result = ktt.export_micro(
            model, folder, criterion="tinytrain", from_pixels=True
        )
        costs = {
            name: ktt.layer_costs(model, cost_model=name)
            for name in ("paper", "arena")
        }
        found.append((result.blob.read_bytes(), costs))
    return found


def on_both(library, data, scores, costs, budget, criterion):
    """Returns what host and device choose; of a refusal, None and a status."""
    data = with_candidates(data, set(scores))
    data = with_training(data, training_record(costs, budget, criterion))
    device = Selector(library, data).select(scores, classes=costs_way(costs))
    try:
        host = ktt.select(scores, costs, budget, criterion=criterion).channels
    except ValueError:
        host = None
    return host, device
