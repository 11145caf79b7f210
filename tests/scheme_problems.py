"""Networks, gains and exhaustive search for the searches for schemes."""

import itertools

import numpy as np

from keras_tinytrain.budget import LayerCost, LayerCosts
from keras_tinytrain.scheme_memory import SchemeMemory
from keras_tinytrain.scheme_search import Contributions
from keras_tinytrain.sparse_update import Scheme

RATIOS = (0.125, 0.25, 0.5, 1.0)


def make_costs():
    """Four layers, the third one depthwise."""
    layers = [
        # Inputs of 3 x 8 numbers, outputs of 4 x 8.
        LayerCost("a", 4, 12, 4, 96, 96, 128, False, 3),
        LayerCost("b", 8, 32, 8, 256, 128, 256, False, 4),
        LayerCost("c", 8, 72, 8, 576, 256, 256, True, 0),
        LayerCost("d", 2, 16, 2, 128, 256, 64, False, 8),
    ]
    return LayerCosts(tuple(layers), 384, "arena")


def draw_costs(rng, layers):
    """Layers of drawn sizes."""
    found = []
    for i in range(layers):
        inputs, channels = (8 * int(n) for n in rng.integers(1, 12, 2))
        places = int(rng.integers(1, 10)) ** 2
        weights = inputs * channels
        sizes = 4 * inputs * places, 4 * channels * places
        found.append(
            LayerCost(
                f"layer{i}",
                channels,
                weights,
                channels * int(rng.integers(2)),
                weights * places,
                *sizes,
                False,
                inputs,
            )
        )
    peak = max(c.input_bytes + c.output_bytes for c in found)
    return LayerCosts(tuple(found), peak, "arena")


def make_scheme(costs, biases, ratios):
    return Scheme("own", costs.fingerprint, len(costs), biases, ratios)


def draw_gains(rng, layers):
    """Gains of all parts, some of them losses."""
    biases = {k: rng.normal() for k in range(1, layers + 1)}
    weights = {
        part: rng.normal() for part in itertools.product(range(layers), RATIOS)
    }
    return Contributions(biases, weights)


def draw_limits(rng, costs, model, count):
    """Limits in bytes, from that of the last biases to that of everything."""
    memory = SchemeMemory(costs, model)
    every = {i: 1.0 for i in range(len(costs))}
    least = memory.of(make_scheme(costs, 1, {}))
    most = memory.of(make_scheme(costs, len(costs), every))
    return [int(n) for n in rng.integers(-(-least // 8), most // 8 + 2, count)]


def best_of_all(gains, costs, limit, model):
    """Tries every scheme; returns the largest sum."""
    best, memory = -np.inf, SchemeMemory(costs, model)
    for biases in range(len(costs) + 1):
        first = len(costs) - biases
        for ratios in itertools.product((0.0, *RATIOS), repeat=biases):
            chosen = {first + i: r for i, r in enumerate(ratios) if r}
            scheme = make_scheme(costs, biases, chosen)
            if memory.of(scheme) <= 8 * limit:
                best = max(best, gains.of(scheme))
    return best
