"""The published memory model, and the search under it."""

import itertools

import numpy as np
import pytest

import keras_tinytrain as ktt
from keras_tinytrain import zoo
from keras_tinytrain.budget import LayerCost, LayerCosts
from keras_tinytrain.scheme_search import (
    RATIOS,
    Contributions,
    extra_memory_bits,
    search_scheme,
)
from keras_tinytrain.sparse_update import Scheme, published_schemes


@pytest.mark.parametrize("name", ["mcunet", "mobilenet_v2", "proxyless_nas"])
def test_published_schemes_take_what_their_names_say(name):
    costs = ktt.layer_costs(ktt.wrap(zoo.build(name, weights=None)))
    schemes = published_schemes(costs)
    assert len(schemes) == 5
    for label, scheme in schemes.items():
        size = extra_memory_bits(scheme, costs) // 8 // 1024
        assert f"{size}kb" == label


def make_costs():
    """Four layers, the third one depthwise."""
    layers = [
        # Inputs of 3 x 8 numbers, outputs of 4 x 8.
        LayerCost("a", 4, 12, 4, 96, 96, 128, False, 3),
        LayerCost("b", 8, 32, 8, 256, 128, 256, False, 4),
        LayerCost("c", 8, 72, 8, 576, 256, 256, True, 0),
        LayerCost("d", 2, 16, 2, 128, 256, 64, False, 8),
    ]
    return LayerCosts(tuple(layers), 1000, "arena")


def make_scheme(costs, biases, ratios):
    return Scheme("own", costs.fingerprint, len(costs), biases, ratios)


def test_memory_by_hand():
    costs = make_costs()

    def bits(biases, ratios):
        return extra_memory_bits(make_scheme(costs, biases, ratios), costs)

    # The classifier reads two numbers.
    assert bits(0, {}) == 8 * 2
    # Two biases, and a bit of each of 16 outputs.
    assert bits(1, {}) == 16 + 32 * 2 + 16
    biases = 16 + 32 * 18 + 16 + 64 + 64
    assert bits(3, {}) == biases
    # Half of 16 weights and of 64 inputs; nothing of two inputs in eight.
    assert bits(3, {3: 0.5}) == biases + 8 * (8 + 32)
    assert bits(3, {3: 0.1}) == biases
    # Two channels of nine weights, with as many inputs of 8 numbers.
    assert bits(3, {2: 0.25}) == biases + 8 * (18 + 16)
    assert bits(3, {1: 1.0}) == biases + 8 * (32 + 32)


def draw_gains(rng, layers):
    biases = {k: rng.normal() for k in range(layers + 1)}
    weights = {
        part: rng.normal() for part in itertools.product(range(layers), RATIOS)
    }
    return Contributions(biases | {0: 0.0}, weights)


def best_of_all(gains, costs, limit):
    """Tries every scheme."""
    best = -np.inf
    shares = (0.0, *RATIOS)
    for biases in range(len(costs) + 1):
        first = len(costs) - biases
        for ratios in itertools.product(shares, repeat=biases):
            chosen = {first + i: r for i, r in enumerate(ratios) if r}
            scheme = make_scheme(costs, biases, chosen)
            if extra_memory_bits(scheme, costs) <= 8 * limit:
                best = max(best, gains.of(scheme))
    return best


def test_the_search_finds_the_best_of_all():
    costs = make_costs()
    for seed in range(12):
        gains = draw_gains(np.random.default_rng(seed), len(costs))
        for limit in (20, 100, 180, 400):
            scheme = search_scheme(gains, costs, limit)
            assert extra_memory_bits(scheme, costs) <= 8 * limit
            best = best_of_all(gains, costs, limit)
            assert gains.of(scheme) == pytest.approx(best)


def test_the_same_seed_gives_the_same_scheme():
    costs = make_costs()
    gains = draw_gains(np.random.default_rng(3), len(costs))
    found = {
        search_scheme(gains, costs, 150, seed=5, generations=3).to_json()
        for _ in range(3)
    }
    assert len(found) == 1


def test_only_what_was_measured_trains():
    costs = make_costs()
    gains = Contributions({0: 0.0, 2: 0.1}, {(3, 0.5): 0.1, (2, 0.25): -0.1})
    scheme = search_scheme(gains, costs, 10_000)
    assert (scheme.biases, scheme.ratios) == (2, ((3, 0.5),))
    assert scheme.name == "0kb"
    # What harms is left out, all of it if need be.
    gains = Contributions({0: 0.0, 2: -0.1}, {(3, 0.5): 0.05})
    scheme = search_scheme(gains, costs, 10_000)
    assert (scheme.biases, scheme.ratios) == (0, ())


def test_a_limit_that_nothing_fits_is_refused():
    gains = Contributions({0: 0.0, 1: 0.1}, {})
    # 96 bits, see above.
    assert search_scheme(gains, make_costs(), 12).biases == 1
    with pytest.raises(ValueError, match=r"take 12 bytes. Received: 11 bytes"):
        search_scheme(gains, make_costs(), 11)
