"""What the selector refuses, and with which numbers."""

import numpy as np
import pytest
from selector_cases import (
    MODELS,
    on_both,
)
from selector_library import Selector, with_candidates, with_training

import keras_tinytrain as ktt
from keras_tinytrain.export.contents import training_record
from keras_tinytrain.selection import CRITERIA


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("cost_model", MODELS)
def test_a_budget_too_small_is_told_with_the_one_that_would_do(
    cost_model, criterion, nets, selectors
):
    for data, both in nets:
        costs = both[cost_model]
        scores = {c.name: np.ones(c.channels) for c in costs}
        arguments = selectors, data, scores, costs

        def on(arguments=arguments, **limits):
            return on_both(*arguments, ktt.Budget(**limits), criterion)

        for limit in ("memory", "macs"):
            code = f"{limit} budget"
            _, (told, needed, given, missing) = on(**{limit: 1})
            assert (told, given, missing) == (code, 1, needed - 1)
            _, refused = on(**{limit: needed - 1})
            assert refused == (code, needed, needed - 1, 1)
            host, device = on(**{limit: needed})
            assert device == host is not None


def test_macs_are_asked_of_layers_that_fit_the_memory(nets, selectors):
    """The layer with the fewest MACs is no help if its bytes do not fit."""
    data, costs = nets[0]
    costs = costs["paper"]
    scores = {c.name: np.ones(c.channels) for c in costs}
    names = [c.name for c in costs if not c.per_channel_input]
    memory = {n: costs.memory_bytes({n: 1}) for n in names}
    macs = {n: costs.macs({n: 1}) for n in names}
    fewest = min(names, key=macs.get)
    others = [n for n in names if memory[n] < memory[fewest]]
    limit = max(memory[n] for n in others)
    needed = min(macs[n] for n in others if memory[n] <= limit)
    assert needed > macs[fewest]
    budget = ktt.Budget(limit, macs[fewest])
    _, status = on_both(selectors, data, scores, costs, budget, "earliest")
    missing = needed - macs[fewest]
    assert status == ("macs budget", needed, macs[fewest], missing)


@pytest.fixture
def selector(nets, selectors):
    data, costs = nets[2]
    data = with_candidates(data, {c.name for c in costs["paper"]})
    record = training_record(costs["paper"], ktt.Budget(), "earliest")
    return Selector(selectors, with_training(data, record))


@pytest.fixture
def scores(selector):
    return {c["name"]: np.ones(c["channels"]) for c in selector.layers}


def test_work_too_small_by_one_byte(selector, scores):
    size = selector.bytes
    status = selector.select(scores, missing=1)
    assert status == ("too small", size, size - 1, 1)
    assert selector.select(scores, missing=size)[0] == "too small"
    assert selector.select(scores, shift=4)[0] == "misaligned"


def test_bytes_of_work(selector):
    """Counts, channels, merits, places, counts of the best, order."""
    layers = len(selector.layers)
    channels = sum(c["channels"] for c in selector.layers)
    lists = 2 * (layers + channels)
    assert selector.bytes == lists + -lists % 8 + (8 + 4 + 2 + 2) * layers


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (np.nan, "not finite"),
        (np.inf, "not finite"),
        (-np.inf, "not finite"),
        (-1e-45, "bad argument"),
    ],
)
def test_bad_scores(value, code, selector, scores):
    for name in scores:
        wrong = {**scores, name: np.array(scores[name])}
        wrong[name][-1] = value
        assert selector.select(wrong)[0] == code


def test_negative_zero_is_a_score(selector, scores):
    zeros = {name: np.zeros_like(s) for name, s in scores.items()}
    negative = {name: -s for name, s in zeros.items()}
    assert selector.select(negative) == selector.select(zeros)


def test_setups_of_other_models_are_refused(selector, scores):
    assert isinstance(selector.select(scores, classes=10), dict)
    for classes, optimizer in ((1, 0), (11, 0), (0, 0), (2, 4)):
        status = selector.select(scores, classes=classes, optimizer=optimizer)
        assert status[0] == "bad argument"


def test_depthwise_candidates_alone_cannot_train_early(nets, selectors):
    data, costs = nets[3]
    scores = {"depthwise0": np.ones(costs["paper"][2].channels)}
    assert costs["paper"][2].name == "depthwise0"
    arguments = data, scores, costs["paper"], ktt.Budget()
    host, device = on_both(selectors, *arguments, "earliest")
    assert (host, device) == (None, ("bad argument", 0, 0, 0))
    host, device = on_both(selectors, *arguments, "tinytrain")
    assert device == host is not None
