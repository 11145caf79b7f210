"""Law 4: no plan exceeds its budget, and a larger one never does worse."""

import itertools

import numpy as np
import pytest

from keras_tinytrain.budget import Budget
from keras_tinytrain.selection import CRITERIA, select

every_criterion = pytest.mark.parametrize("criterion", CRITERIA)


def random_memory(rng, costs, count=None):
    least = min(costs.memory_bytes({c.name: 1}) for c in costs)
    most = costs.memory_bytes({c.name: c.channels for c in costs})
    return rng.integers(least, most + 1, size=count)


def worth(scores, costs, criterion):
    """What a criterion takes each channel to be worth."""
    if criterion == "tinytrain":
        return scores
    return {
        c.name: np.full(
            c.channels,
            c.macs // c.channels * sum(b.macs for b in costs[i + 1 :]),
        )
        for i, c in enumerate(costs)
    }


def best_score(scores, costs, budget, layers):
    """Tries all numbers of channels; of a layer the best ones are taken."""
    best = -1.0
    for counts in itertools.product(*(range(c.channels + 1) for c in layers)):
        named = {c.name: n for c, n in zip(layers, counts)}
        if costs.memory_bytes(named) <= budget.memory_limit() and costs.macs(
            named
        ) <= budget.macs_limit(costs.full_macs):
            score = sum(
                np.sort(scores[name])[::-1][:n].sum()
                for name, n in named.items()
            )
            if any(counts):
                best = max(best, score)
    return best


def try_select(scores, costs, budget, criterion):
    """Returns the plan, or None if no channel fits."""
    try:
        return select(scores, costs, budget, criterion=criterion)
    except ValueError:
        return None


@every_criterion
def test_no_plan_exceeds_its_budget(criterion, random_instance):
    rng = np.random.default_rng(0)
    plans = 0
    for _ in range(300):
        scores, costs = random_instance(rng, layers=5, most=12)
        memory = int(random_memory(rng, costs)) if rng.integers(4) else None
        macs = float(rng.uniform(0.02, 1.0)) if rng.integers(4) else None
        budget = Budget(memory, macs)
        plan = try_select(scores, costs, budget, criterion)
        if plan is None:
            continue
        plans += 1
        counts = {name: len(c) for name, c in plan.channels.items()}
        assert plan.memory_bytes == costs.memory_bytes(counts)
        assert plan.macs == costs.macs(counts)
        assert plan.memory_bytes <= budget.memory_limit()
        assert plan.macs <= budget.macs_limit(costs.full_macs)
        values = worth(scores, costs, criterion)
        total = sum(values[n][list(c)].sum() for n, c in plan.channels.items())
        assert plan.score == pytest.approx(total)
    assert plans > 200


@every_criterion
def test_a_larger_budget_never_lowers_the_score(criterion, random_instance):
    rng = np.random.default_rng(1)
    for i in range(1000):
        scores, costs = random_instance(rng, layers=4, most=5)
        memory = np.sort(random_memory(rng, costs, 2))
        macs = np.sort(rng.uniform(0.2, 1.0, size=2))
        small = Budget(
            int(memory[int(i % 4 == 0)]), float(macs[int(i % 4 == 1)])
        )
        large = Budget(int(memory[1]), float(macs[1]))
        less = try_select(scores, costs, small, criterion)
        if less is not None:
            more = select(scores, costs, large, criterion=criterion)
            assert more.score >= less.score * (1 - 1e-12)


@pytest.mark.parametrize(
    ("criterion", "mean_gap", "share_exact"),
    [("earliest", 0.003, 0.97), ("tinytrain", 0.04, 0.75)],
)
def test_gap_to_exhaustive_search(
    criterion, mean_gap, share_exact, random_instance, candidates
):
    """How much score is lost, over instances of three layers up to 3 wide.

    Measured against the best choice among the layers that the criterion may
    train: earliest reaches it in 99 % and loses 0.2 % of the score on
    average, tinytrain reaches it in 83 % and loses 2.3 %, at most 43 %.
    Neither refuses a budget that some plan fits.
    """
    rng = np.random.default_rng(2)
    ratios = []
    for _ in range(400):
        scores, costs = random_instance(rng)
        budget = Budget(
            int(random_memory(rng, costs)), float(rng.uniform(0.05, 1.0))
        )
        layers = candidates(costs, criterion)
        values = worth(scores, costs, criterion)
        best = best_score(values, costs, budget, layers)
        plan = try_select(scores, costs, budget, criterion)
        if best < 0:
            assert plan is None
            continue
        assert plan is not None
        assert plan.score <= best * (1 + 1e-12)
        ratios.append(plan.score / best if best else 1.0)
    ratios = np.array(ratios)
    assert 1 - ratios.mean() < mean_gap
    assert (ratios > 1 - 1e-9).mean() > share_exact
    assert ratios.min() > 0.4
