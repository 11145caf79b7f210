"""The device chooses what the host would, channel for channel."""

import ctypes

import numpy as np
import pytest
from selector_cases import (
    SCORES,
    build_net,
    draw_budget,
    draw_equal,
    draw_lost,
    draw_scores,
)
from selector_library import (
    Selector,
    with_candidates,
    with_training,
)

import keras_tinytrain as ktt
from keras_tinytrain.export.contents import training_record
from keras_tinytrain.selection import CRITERIA

NETS = 8
TRIPLES = 24  # Of each net.
WAY = 3
MODELS = ("arena", "paper")


def all_costs(model, first=None):
    """Returns the costs of a device with the network, in both models."""
    return {
        name: ktt.layer_costs(model, cost_model=name, way=WAY, first=first)
        for name in MODELS
    }


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Blobs of whole networks, and their costs."""
    found = []
    for seed in range(NETS):
        model = build_net(seed)
        folder = tmp_path_factory.mktemp("blobs")
        result = ktt.export_micro(model, folder, from_pixels=True)
        first = next(iter(model.network.layers))
        found.append((result.blob.read_bytes(), all_costs(model, first)))
    return found


def on_both(selectors, data, scores, costs, budget, criterion):
    """Returns what host and device choose; of a refusal None and the status."""
    data = with_candidates(data, set(scores))
    data = with_training(data, training_record(costs, budget, criterion))
    device = Selector(selectors, data).select(scores, classes=WAY)
    try:
        plan = ktt.select(scores, costs, budget, criterion=criterion)
    except ValueError:
        return None, device
    return plan.channels, device


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
    for classes, optimizer in ((1, 0), (11, 0), (0, 0), (2, 3)):
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
