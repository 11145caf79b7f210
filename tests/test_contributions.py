"""Gains of parts are measured once, whatever interrupts it."""

import json

import numpy as np
import pytest

import keras_tinytrain as ktt
from keras_tinytrain.datasets import ArrayDataset
from keras_tinytrain.evaluation import read_records
from keras_tinytrain.evaluation.contributions import (
    measure_contributions,
    part_name,
    parts_to_measure,
)
from keras_tinytrain.evaluation.protocol import Net
from keras_tinytrain.scheme_search import RATIOS, search_scheme

NAMED = Net("small", "none", "small.keras")


@pytest.fixture
def dataset(make_task):
    task = make_task(count=60, way=6)
    return ArrayDataset(task.images, task.labels, name="pictures")


def measure(path, net, dataset, **settings):
    settings = {"first": 3, "tasks": 2, "way": 3, "shot": 2} | settings
    return measure_contributions(path, net, NAMED, dataset, steps=2, **settings)


def test_parts_begin_at_the_last_layer():
    parts = parts_to_measure(5, 3)
    assert parts[:3] == [(0, ()), (1, ()), (1, ((4, RATIOS[0]),))]
    assert len(parts) == 1 + 2 * (1 + len(RATIOS))
    assert parts[-1] == (2, ((3, RATIOS[-1]),))
    assert part_name(parts[0]) == "biases=0"
    assert part_name(parts[2]) == "biases=1 4:0.125"


def test_gains_are_differences_of_means(net, dataset, tmp_path):
    path = tmp_path / "gains.jsonl"
    gains = measure(path, net, dataset)
    records = read_records(path).episodes
    assert len(records) == 2 * 11
    accuracy = {}
    for record in records:
        accuracy.setdefault(record["method"], []).append(record["accuracy"])
    mean = {name: np.mean(some) for name, some in accuracy.items()}
    assert sorted(gains.biases) == [0, 1, 2]
    assert gains.biases[0] == 0.0
    assert gains.biases[2] == pytest.approx(mean["biases=2"] - mean["biases=0"])
    assert gains.weights[3, 0.5] == pytest.approx(
        mean["biases=2 3:0.5"] - mean["biases=2"]
    )
    costs = ktt.layer_costs(ktt.wrap(net))
    scheme = search_scheme(gains, costs, 10_000)
    model = ktt.wrap(net)
    assert ktt.sparse_update_plan(model, scheme).fingerprint


def test_it_goes_on_where_it_was_stopped(net, dataset, tmp_path):
    whole, half = tmp_path / "whole.jsonl", tmp_path / "half.jsonl"
    expected = measure(whole, net, dataset)
    lines = whole.read_text().splitlines(keepends=True)
    half.write_text("".join(lines[:8]) + lines[8][:20])
    assert measure(half, net, dataset) == expected
    assert half.read_text() == whole.read_text()
    # Nothing is left to measure; other settings want another file.
    size = whole.stat().st_size
    assert measure(whole, net, dataset) == expected
    assert whole.stat().st_size == size
    with pytest.raises(ValueError, match=r"shot=2.*shot=1"):
        measure(whole, net, dataset, shot=1)
    assert json.loads(lines[1])["net"] == "small"


def test_a_first_layer_that_there_is_not(net, dataset, tmp_path):
    with pytest.raises(ValueError, match=r"0 to 4. Received: first=5"):
        measure(tmp_path / "gains.jsonl", net, dataset, first=5)
