"""The device chooses what the host would, channel for channel."""

import ctypes

import numpy as np
import pytest
from selector_cases import (
    MODELS,
    NETS,
    SCORES,
    draw_budget,
    draw_equal,
    draw_lost,
    draw_scores,
    on_both,
)

import keras_tinytrain as ktt
from keras_tinytrain.selection import CRITERIA

TRIPLES = 24  # Of each net.


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("cost_model", MODELS)
@pytest.mark.parametrize("net", range(NETS))
def test_random_selections(net, cost_model, criterion, nets, selectors):
    data, costs = nets[net]
    costs = costs[cost_model]
    rng = np.random.default_rng([net, len(cost_model), len(criterion)])
    chosen = 0
    for i in range(TRIPLES):
        names = {c.name for c in costs if rng.integers(4)} | {"project0"}
        scores = draw_scores(rng, costs, names, SCORES[i % len(SCORES)])
        budget = draw_budget(rng, costs)
        host, device = on_both(
            selectors, data, scores, costs, budget, criterion
        )
        if host is None:
            assert device[0] in ("memory budget", "macs budget")
            continue
        assert device == host
        chosen += 1
    assert chosen >= TRIPLES // 2


@pytest.mark.parametrize("net", [0, 1])
def test_rounding_never_makes_more_channels_worth_less(net, nets, selectors):
    """Sums in order do not fall; pairwise ones, as NumPy has them, do here."""
    data, costs = nets[net]
    costs = costs["paper"]
    everything = {c.name: tuple(range(c.channels)) for c in costs}
    for i in range(130):
        scores = draw_lost(np.random.default_rng([net, i]), costs)
        host, device = on_both(
            selectors, data, scores, costs, ktt.Budget(), "tinytrain"
        )
        assert device == host == everything


@pytest.mark.parametrize("net", range(NETS))
def test_criteria_round_alike(net, nets, selectors):
    """Rounding in another order would sort the layers in another one."""
    data, costs = nets[net]
    costs = costs["paper"]
    rng = np.random.default_rng(net)
    for _ in range(20):
        scores, budget = draw_equal(rng, costs), draw_budget(rng, costs)
        host, device = on_both(
            selectors, data, scores, costs, budget, "tinytrain"
        )
        if host is not None:
            assert device == host


@pytest.mark.parametrize("net", range(NETS))
def test_layers_that_narrow_train_where_no_other_does(net, nets, selectors):
    """The first one that fits then, whatever it is worth."""
    data, costs = nets[net]
    costs = costs["arena"]
    narrow = {
        c.name: np.arange(c.channels)
        for c in costs
        if c.channels < c.inputs and not c.per_channel_input
    }
    if not narrow:
        pytest.skip("no layer of this net narrows")
    rng = np.random.default_rng(net)
    budgets = [draw_budget(rng, costs) for _ in range(20)]
    # One channel of the first, or more of a later one, which is worth more.
    budgets += [ktt.Budget(macs=costs.macs({name: 1})) for name in narrow]
    for budget in budgets:
        host, device = on_both(
            selectors, data, narrow, costs, budget, "earliest"
        )
        if host is not None:
            assert device == host


@pytest.mark.parametrize("cost_model", MODELS)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_selection_by_hand(criterion, cost_model, nets, selectors):
    """Without limits all candidates train; the scores decide nothing."""
    data, costs = nets[1]
    costs = costs[cost_model]
    rng = np.random.default_rng(0)
    names = {c.name for c in costs}
    scores = draw_scores(rng, costs, names, "exponential")
    host, device = on_both(
        selectors, data, scores, costs, ktt.Budget(), criterion
    )
    assert device == host
    first = min(i for i, c in enumerate(costs) if c.name in host)
    for c in costs[first:]:
        trains = criterion == "tinytrain" or not c.per_channel_input
        assert host.get(c.name, ()) == tuple(range(trains * c.channels))


def test_heap_sort_is_a_sort(selectors):
    rng = np.random.default_rng(0)
    for count in [*range(20), 1000, 65535]:
        keys = rng.integers(0, max(count // 2, 1), count).astype(np.uint32)
        numbers = rng.permutation(count).astype(np.uint16)
        selectors.selector_sort(
            ctypes.c_void_p(numbers.ctypes.data),
            count,
            ctypes.c_void_p(keys.ctypes.data),
        )
        assert numbers.tolist() == np.argsort(keys, kind="stable").tolist()
