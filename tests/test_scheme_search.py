"""The search for the best scheme there is."""

import numpy as np
import pytest
from scheme_problems import (
    best_of_all,
    draw_costs,
    draw_gains,
    draw_limits,
    make_costs,
)

from keras_tinytrain.scheme_memory import MEMORY_MODELS, SchemeMemory
from keras_tinytrain.scheme_search import Contributions, search_scheme

every_model = pytest.mark.parametrize("model", MEMORY_MODELS)


def search(gains, costs, limit, model="int8"):
    return search_scheme(gains, costs, limit, memory_model=model)


@every_model
def test_it_finds_the_best_of_all(model):
    rng = np.random.default_rng(0)
    for number in range(30):
        costs = draw_costs(rng, 3) if number % 2 else make_costs()
        gains = draw_gains(rng, len(costs))
        for limit in draw_limits(rng, costs, model, 2):
            scheme = search(gains, costs, limit, model)
            assert SchemeMemory(costs, model).of(scheme) <= 8 * limit
            best = best_of_all(gains, costs, limit, model)
            assert gains.of(scheme) == pytest.approx(best, rel=1e-12)


@every_model
def test_a_larger_limit_never_finds_less(model):
    rng = np.random.default_rng(1)
    grown = 0
    for _ in range(20):
        costs = draw_costs(rng, 12)
        gains = draw_gains(rng, len(costs))
        limits = sorted(draw_limits(rng, costs, model, 6))
        found = [search(gains, costs, limit, model) for limit in limits]
        for limit, scheme in zip(limits, found):
            assert SchemeMemory(costs, model).of(scheme) <= 8 * limit
        sums = [gains.of(scheme) for scheme in found]
        assert (np.diff(sums) >= -1e-12).all()
        grown += sums[-1] > sums[0]
    assert grown > 15


def test_only_what_was_measured_trains():
    costs = make_costs()
    gains = Contributions({2: 0.1}, {(3, 0.5): 0.1, (2, 0.25): -0.1})
    scheme = search(gains, costs, 10_000)
    assert (scheme.biases, scheme.ratios) == (2, ((3, 0.5),))
    assert scheme.name == "searched 0kb"
    assert scheme.fingerprint == costs.fingerprint
    # What the biases do not reach does not train, however good.
    gains = Contributions({1: 0.2, 2: 0.1}, {(3, 0.5): 0.1, (2, 1.0): 0.05})
    scheme = search(gains, costs, 10_000)
    assert (scheme.biases, scheme.ratios) == (1, ((3, 0.5),))
    # What harms is left out, all of it if need be.
    scheme = search(Contributions({2: -0.1}, {(3, 0.5): 0.05}), costs, 10_000)
    assert (scheme.biases, scheme.ratios) == (0, ())


def test_of_equal_gains_the_smallest_wins():
    ratios = {(3, ratio): 0.1 for ratio in (1.0, 0.5, 0.25)}
    gains = Contributions({3: 0.1, 2: 0.1, 4: 0.1}, ratios)
    scheme = search(gains, make_costs(), 10_000)
    assert (scheme.biases, scheme.ratios) == (2, ((3, 0.25),))


def test_a_limit_that_nothing_fits_is_refused():
    gains, costs = Contributions({1: 0.1}, {}), make_costs()
    # 96 bits, see test_scheme_memory.py.
    assert search(gains, costs, 12).biases == 1
    with pytest.raises(ValueError, match=r"take 12 bytes\. .* and 11 bytes"):
        search(gains, costs, 11)
    with pytest.raises(ValueError, match="gains of 0 numbers of biases"):
        search(Contributions({}, {}), costs, 10_000)
