import dataclasses
import re

import numpy as np
import pytest

from keras_tinytrain.budget import Budget, LayerCost, LayerCosts
from keras_tinytrain.selection import (
    CRITERIA,
    first_affordable,
    full_plan,
    last_layer_plan,
    make_plan,
    select,
)

every_criterion = pytest.mark.parametrize("criterion", CRITERIA)


def layer(name, channels, weights, macs, size=4):
    """A layer of `weights` and `macs` a channel, in and out of `size` bytes."""
    return LayerCost(
        name,
        channels,
        channels * weights,
        0,
        channels * macs,
        size,
        size,
        False,
    )


def test_criterion_by_hand():
    """s_i = P_i / ((params_i / max) (macs_i / max)).

    P = (6, 3, 4), params = (8, 2, 4), macs = (8, 4, 2): s = 6 / (1 * 1) = 6,
    3 / (1/4 * 1/2) = 24, 4 / (1/2 * 1/4) = 32. So c is first, b second and a
    last; with bytes for 6 more weights than c has, b enters whole and a with
    its better channel.
    """
    costs = LayerCosts(
        (layer("a", 2, 4, 4), layer("b", 2, 1, 2), layer("c", 2, 2, 1)),
        8,
        "paper",
    )
    scores = {"a": [2.5, 3.5], "b": [1.0, 2.0], "c": [1.5, 2.5]}
    taken = {}
    for weights in (2, 4, 5, 6, 10):
        budget = Budget(memory=8 + 16 * weights)
        plan = select(scores, costs, budget, criterion="tinytrain")
        taken[weights] = plan.channels
    # Two weights: c's better channel (2.5), less than both of b (3.0).
    assert taken[2] == {"b": (0, 1)}
    assert taken[4] == {"c": (0, 1)}
    assert taken[5] == {"b": (1,), "c": (0, 1)}
    assert taken[6] == {"b": (0, 1), "c": (0, 1)}
    assert taken[10] == {"a": (1,), "b": (0, 1), "c": (0, 1)}


def test_earliest_by_hand():
    """Worth = MACs * chain: of a channel of a 2 * 29, of c 5 * 10, of d 0.

    Layer b narrows, so no candidate begins with it, and dw is depthwise. With
    31 MACs a affords one channel, worth 58, and c both, worth 100; with 33 a
    affords both, worth 116. Then b fills what memory is left.
    """
    narrow = dataclasses.replace(layer("b", 1, 4, 1), inputs=2)
    depthwise = dataclasses.replace(
        layer("dw", 2, 1, 4), per_channel_input=True
    )
    costs = LayerCosts(
        (
            layer("z", 2, 1, 9),
            layer("a", 2, 2, 2),
            depthwise,
            narrow,
            layer("c", 2, 4, 5),
            layer("d", 2, 9, 5),
        ),
        8,
        "paper",
    )
    scores = {
        "a": [1.0, 2.0],
        "dw": [9.0, 9.0],
        "b": [9.0],
        "c": [0.0, 3.0],
        "d": [9.0, 9.0],
    }
    for macs, weights, expected in (
        (31, 99, {"c": (0, 1), "d": (0, 1)}),
        (31, 8, {"c": (0, 1)}),
        (31, 2, {"a": (1,)}),
        (33, 4, {"a": (0, 1)}),
        (34, 7, {"a": (0, 1)}),
        (34, 8, {"a": (0, 1), "b": (0,)}),
    ):
        budget = Budget(memory=8 + 16 * weights, macs=macs)
        assert select(scores, costs, budget).channels == expected
    # Nothing that does not narrow fits.
    only = {"b": [9.0]}
    assert select(only, costs, Budget()).channels == {"b": (0,)}
    assert select(only, costs, Budget()).score == 0.0


def test_first_affordable_leaves_something_for_the_layer():
    """From `a` on the chain takes 100 MACs, from `b` on 50."""
    costs = LayerCosts(
        (
            layer("stem", 2, 1, 100),
            layer("a", 2, 1, 2),
            layer("b", 2, 1, 25),
            layer("c", 2, 1, 25),
        ),
        8,
        "paper",
    )
    assert first_affordable(costs, Budget(macs=102)) == 2  # 98 % for `a`.
    assert first_affordable(costs, Budget(macs=106)) == 1  # 94 %.
    assert first_affordable(costs, Budget(macs=25)) == 3


@every_criterion
def test_the_chain_of_input_gradients_is_paid(criterion):
    """Layer b needs no chain; a needs the input gradient of b: 100 MACs."""
    costs = LayerCosts(
        (layer("z", 1, 1, 1), layer("a", 2, 1, 4), layer("b", 10, 1, 10)),
        8,
        "paper",
    )
    scores = {"a": [9.0, 8.0], "b": np.full(10, 0.5)}
    plans = {
        macs: select(scores, costs, Budget(macs=macs), criterion=criterion)
        for macs in (103, 104, 108)
    }
    assert plans[103].channels == {"b": tuple(range(10))}
    assert plans[104].channels == {"a": (0,)}
    assert plans[104].macs == 104
    assert plans[108].channels == {"a": (0, 1)}


@every_criterion
def test_without_limits_everything_trains(
    criterion, random_instance, candidates
):
    scores, costs = random_instance(np.random.default_rng(3))
    plan = select(scores, costs, Budget(), criterion=criterion)
    assert plan.channels == {
        c.name: tuple(range(c.channels)) for c in candidates(costs, criterion)
    }


@every_criterion
def test_ties_go_to_the_first(criterion):
    costs = LayerCosts((layer("a", 4, 1, 1), layer("b", 4, 1, 1)), 8, "paper")
    scores = {"a": np.ones(4), "b": np.ones(4)}
    budget = Budget(memory=8 + 16 * 3)
    plan = select(scores, costs, budget, criterion=criterion)
    assert plan.channels == {"a": (0, 1, 2)}
    backwards = dict(reversed(scores.items()))
    assert select(backwards, costs, budget, criterion=criterion) == plan


def test_layers_without_scores_do_not_train(random_instance):
    scores, costs = random_instance(np.random.default_rng(4))
    del scores["layer1"]
    plan = select(scores, costs, Budget(), criterion="tinytrain")
    assert list(plan.channels) == ["layer0", "layer2"]


def test_static_plans(random_instance):
    _, costs = random_instance(np.random.default_rng(5))
    everything = full_plan(costs)
    assert [(c.name, len(c.channels)) for c in everything.layers] == [
        (c.name, c.channels) for c in costs
    ]
    last = last_layer_plan(costs)
    assert last.channels == {"layer2": tuple(range(costs[2].channels))}
    assert (everything.criterion, last.criterion) == ("full", "lastlayer")
    assert make_plan({}, costs, "none").memory_bytes == costs.fixed_bytes([])


class TestBadInput:
    @every_criterion
    def test_the_smallest_budgets_named_are_enough(
        self, criterion, random_instance, candidates
    ):
        rng = np.random.default_rng(6)
        for _ in range(100):
            scores, costs = random_instance(rng)
            ones = [{c.name: 1} for c in candidates(costs, criterion)]
            memory = min(costs.memory_bytes(one) for one in ones)
            macs = min(costs.macs(one) for one in ones)
            for enough, too_small, word in (
                (Budget(memory=memory), Budget(memory=memory - 1), memory),
                (Budget(macs=macs), Budget(macs=macs - 0.5), macs),
            ):
                select(scores, costs, enough, criterion=criterion)
                first_affordable(costs, enough, criterion=criterion)
                words = rf"Expected a budget.*{word:,} .*Received: Budget"
                with pytest.raises(ValueError, match=words):
                    select(scores, costs, too_small, criterion=criterion)
                with pytest.raises(ValueError, match=words):
                    first_affordable(costs, too_small, criterion=criterion)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"nothing": np.ones(2)}, "'nothing' with shape .* no channels"),
            ({"layer0": np.ones(99)}, r"shape \(99,\)"),
            ({"layer0": None}, "'layer0' with shape"),
        ],
    )
    def test_scores_must_belong_to_the_layers(
        self, change, words, random_instance
    ):
        scores, costs = random_instance(np.random.default_rng(7))
        with pytest.raises(ValueError, match=words):
            select(scores | change, costs, Budget())

    @pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
    def test_scores_must_be_finite_and_positive(self, value, random_instance):
        scores, costs = random_instance(np.random.default_rng(8))
        scores["layer1"][0] = value
        with pytest.raises(ValueError, match=r"finite scores.*'layer1'"):
            select(scores, costs, Budget())

    def test_no_scores(self, random_instance):
        _, costs = random_instance(np.random.default_rng(9))
        with pytest.raises(ValueError, match=r"scores of \[\]"):
            select({}, costs, Budget())

    def test_a_network_of_depthwise_layers(self):
        costs = LayerCost("dw", 2, 18, 0, 18, 8, 8, True)
        costs = LayerCosts((costs,), 16, "paper")
        words = "network of depthwise layers. Use 'tinytrain'"
        with pytest.raises(ValueError, match=re.escape(words)):
            select({"dw": np.ones(2)}, costs, Budget(), criterion="earliest")
        with pytest.raises(ValueError, match=re.escape(words)):
            first_affordable(costs, Budget())
        plan = select(
            {"dw": np.ones(2)}, costs, Budget(), criterion="tinytrain"
        )
        assert plan.channels == {"dw": (0, 1)}

    def test_unknown_criterion(self, random_instance):
        scores, costs = random_instance(np.random.default_rng(9))
        words = "one of.*'earliest'.*Received: criterion='best'"
        with pytest.raises(ValueError, match=words):
            select(scores, costs, Budget(), criterion="best")
