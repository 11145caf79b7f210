"""Gains of parts are measured once, whatever interrupts it."""

import json

import numpy as np
import pytest

import keras_tinytrain as ktt
from keras_tinytrain.datasets import ArrayDataset
from keras_tinytrain.evaluation import measure_contributions, read_records
from keras_tinytrain.evaluation.contributions import parts_to_measure
from keras_tinytrain.scheme_search import search_scheme


@pytest.fixture
def draw(make_task):
    task = make_task(count=90, way=6)
    dataset = ArrayDataset(task.images, task.labels, name="pictures")

    def draw(seed):
        task = ktt.sample_episode(dataset, seed=seed, way=3, shot=2)
        return task.support, task.query

    return draw


def measure(path, net, draw, **settings):
    settings = {"layers": [2, 4], "tasks": 2, "steps": 2} | settings
    return measure_contributions(path, net, draw, source="small", **settings)


def test_parts_begin_at_the_last_layer(net):
    costs = ktt.layer_costs(ktt.wrap(net))
    groups = parts_to_measure(costs, [0, 4, 4, 2], (0.3, 0.5))
    assert [[part.name for part in group] for group in groups] == [
        ["biases=0"],
        ["biases=1", "biases=1 4:0.5", "biases=1 4:0.3"],
        ["biases=3", "biases=3 2:0.5", "biases=3 2:0.3"],
        # The stem reads three inputs, of which 0.3 is none.
        ["biases=5", "biases=5 0:0.5"],
    ]
    (part,) = (p for g in groups for p in g if p.name == "biases=3 2:0.3")
    assert (part.biases, part.ratios) == (3, ((2, 0.3),))
    assert part.fingerprint == costs.fingerprint


def test_gains_are_differences_of_means(net, draw, tmp_path):
    path = tmp_path / "gains.jsonl"
    gains = measure(path, net, draw, ratios=(0.5,))
    records = read_records(path).episodes
    assert len(records) == 2 * 5
    mean = {
        name: np.mean([r["accuracy"] for r in records if r["method"] == name])
        for name in {r["method"] for r in records}
    }
    base, parts = mean["biases=3"], {(2, 0.5), (4, 0.5)}
    assert gains.biases == {
        1: pytest.approx(mean["biases=1"] - mean["biases=0"]),
        3: pytest.approx(base - mean["biases=0"]),
    }
    assert set(gains.weights) == parts
    assert gains.weights[2, 0.5] == pytest.approx(mean["biases=3 2:0.5"] - base)


def test_a_part_learns_as_the_method_does(net, draw, tmp_path):
    """Though the model has learned other parts before."""
    path, file = tmp_path / "gains.jsonl", tmp_path / "scheme.json"
    settings = {"layers": [2], "ratios": (0.25, 1.0)}
    measure(path, net, draw, **settings, seed=7, tasks=1, steps=5)
    records = read_records(path).episodes
    accuracy = {r["method"]: r["accuracy"] for r in records}
    costs = ktt.layer_costs(ktt.wrap(net))
    support, query = draw(7)
    last = parts_to_measure(costs, **settings)[-1][-1]
    assert last.ratios == ((2, 0.25),)
    file.write_text(last.to_json())
    learner = ktt.methods.build("sparseupdate", net, steps=5, scheme=file)
    learner.learn(support, seed=7)
    assert learner.evaluate(query) == accuracy[last.name]
    assert len(set(accuracy.values())) > 1


def test_it_goes_on_where_it_was_stopped(net, draw, tmp_path, capsys):
    whole, half = tmp_path / "whole.jsonl", tmp_path / "half.jsonl"
    expected = measure(whole, net, draw)
    lines = whole.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * 10
    assert json.loads(lines[1])["dataset"] == "small"
    # Killed in the middle of a layer and of a line.
    half.write_text("".join(lines[:9]) + lines[9][:20])
    capsys.readouterr()
    assert measure(half, net, draw) == expected
    assert half.read_text() == whole.read_text()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 10 - 4
    assert told[-1].startswith("biases=3 2:0.125: ")


def refuse(seed):
    raise AssertionError("There is nothing to measure.")


def test_what_is_there_is_not_measured_again(net, draw, tmp_path):
    path = tmp_path / "gains.jsonl"
    gains = measure(path, net, draw)
    size = path.stat().st_size
    assert measure(path, net, refuse) == gains
    fewer = measure(path, net, refuse, layers=[2], ratios=(1.0,), tasks=1)
    assert list(fewer.weights) == [(2, 1.0)]
    assert path.stat().st_size == size
    # What tells measurements apart: steps, seed, source and weights.
    with pytest.raises(ValueError, match=r"steps=2.*steps=3"):
        measure(path, net, refuse, steps=3)
    with pytest.raises(AssertionError, match="nothing to measure"):
        measure(path, net, refuse, seed=1)
    with pytest.raises(AssertionError, match="nothing to measure"):
        measure_contributions(path, net, refuse, source="other", steps=2)
    net.layers[1].kernel.assign(2 * net.layers[1].kernel)
    with pytest.raises(AssertionError, match="nothing to measure"):
        measure(path, net, refuse)
    assert path.stat().st_size == size


def test_the_later_half_is_measured_by_default(net, draw, tmp_path):
    gains = measure(tmp_path / "gains.jsonl", net, draw, layers=None, tasks=1)
    assert set(gains.biases) == {1, 2, 3}
    assert {index for index, _ in gains.weights} == {2, 3, 4}
    costs = ktt.layer_costs(ktt.wrap(net))
    scheme = search_scheme(gains, costs, 10_000)
    best = max(gains.of(scheme), *gains.biases.values(), 0.0)
    assert gains.of(scheme) == best
    plan = ktt.sparse_update_plan(ktt.wrap(net), scheme)
    assert plan.criterion == f"sparseupdate {scheme.name}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": [5]}, r"0 to 4\. Received: layers=\[5\]"),
        ({"layers": [-1]}, r"Received: layers=\[-1\]"),
        ({"layers": []}, r"Received: layers=\[\]"),
        ({"ratios": (0.5, 0.0)}, r"Received: ratios=\[0.5, 0.0\]"),
        ({"ratios": (1.5,)}, r"Received: ratios=\[1.5\]"),
        ({"tasks": 0}, "from 1. Received: tasks=0"),
    ],
)
def test_bad_settings_are_refused(net, tmp_path, settings, message):
    path = tmp_path / "gains.jsonl"
    with pytest.raises(ValueError, match=message):
        measure(path, net, refuse, **settings)
    assert not path.exists()
