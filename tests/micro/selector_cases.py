"""Random nets, scores and budgets to select with."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from selector_library import Selector, with_candidates, with_training

import keras_tinytrain as ktt
from keras_tinytrain.budget import LayerCosts
from keras_tinytrain.export.contents import training_record

NETS = 8
WAY = 3
MODELS = ("arena", "paper")
SCORES = ("exponential", "few", "halves", "ones", "zeros", "tiny", "layers")


def build_net(seed: int):
    """Wraps a net of some inverted residuals with random sizes."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)

    def channels():
        return int(rng.integers(1, 10))

    image = keras.Input((int(rng.integers(5, 13)), 8, 3))
    x = layers.Conv2D(channels(), 3, strides=2, padding="same", name="stem")(
        image
    )
    for i in range(int(rng.integers(1, 4))):
        size = int(rng.choice([1, 3, 5]))
        y = layers.Conv2D(
            channels(), 1, use_bias=bool(rng.integers(2)), name=f"expand{i}"
        )(x)
        y = layers.ReLU(max_value=rng.choice([None, 6.0]))(y)
        y = layers.DepthwiseConv2D(
            size,
            padding="same",
            strides=int(rng.integers(1, 3)),
            use_bias=bool(rng.integers(2)),
            name=f"depthwise{i}",
        )(y)
        keeps = y.shape[1:3] == x.shape[1:3] and rng.integers(2)
        width = x.shape[-1] if keeps else channels()
        y = layers.Conv2D(width, 1, name=f"project{i}")(y)
        x = layers.Add()([x, y]) if keeps else y
    if rng.integers(2):
        x = layers.Dense(channels(), name="dense")(layers.Flatten()(x))
    head = rng.choice(["linear", "prototype"])
    return ktt.wrap(keras.Model(image, x, name=f"net{seed}"), head=head)


def all_costs(model) -> dict[str, LayerCosts]:
    """Returns the costs of a device with the whole network, in both models."""
    first = next(iter(model.network.layers))
    return {
        name: ktt.layer_costs(model, cost_model=name, way=WAY, first=first)
        for name in MODELS
    }


def export_nets(folder) -> list[tuple[bytes, dict[str, LayerCosts]]]:
    """Returns blobs of whole networks, and their costs."""
    found = []
    for seed in range(NETS):
        model = build_net(seed)
        result = ktt.export_micro(model, folder, from_pixels=True)
        found.append((result.blob.read_bytes(), all_costs(model)))
    return found


def on_both(library, data, scores, costs, budget, criterion):
    """Returns what host and device choose; of a refusal None and the status."""
    data = with_candidates(data, set(scores))
    data = with_training(data, training_record(costs, budget, criterion))
    device = Selector(library, data).select(scores, classes=WAY)
    try:
        plan = ktt.select(scores, costs, budget, criterion=criterion)
    except ValueError:
        return None, device
    return plan.channels, device


def draw_scores(rng, costs, names, kind: str) -> dict[str, np.ndarray]:
    """Draws float32 scores of layers, with more or fewer ties."""
    draw = {
        "exponential": lambda n: rng.exponential(size=n) ** 2,
        "few": lambda n: rng.integers(0, 3, n),
        "halves": lambda n: rng.integers(0, 64, n) / 8,
        "ones": np.ones,
        "zeros": np.zeros,
        # Denormal numbers, and some that are lost beside others.
        "tiny": lambda n: rng.choice([1e-44, 1e-30, 1.0, 3e7, 1e30], n),
        "layers": lambda n: np.full(n, rng.integers(1, 3)),
    }[kind]
    return {
        c.name: draw(c.channels).astype(np.float32)
        for c in costs
        if c.name in names
    }


def draw_lost(rng, costs) -> dict[str, np.ndarray]:
    """Draws scores of which some layers' are lost when they are added up.

    Candidates are then worth the same but for rounding.
    """
    return {
        c.name: np.float32(
            rng.integers(1, 1000, c.channels)
            * 10.0 ** rng.choice([0, -15.5, -16, -16.5])
        )
        for c in costs
    }


def draw_equal(rng, costs) -> dict[str, np.ndarray]:
    """Draws scores whose published criterion is equal but for rounding.

    It is `P_i / (params_i macs_i)`, but for a factor; `P_i` is
    `params_i macs_i` here, in parts that float32 holds.
    """
    scores = {}
    for c in costs:
        left, parts = c.weights * c.macs, np.zeros(c.channels, np.float32)
        for i in range(c.channels):
            last = i + 1 == c.channels
            parts[i] = left if last else left // int(rng.integers(1, 4))
            left -= int(parts[i])
        scores[c.name] = np.abs(parts)
    return scores


def draw_budget(rng, costs) -> ktt.Budget:
    """Draws a budget; most can train something, and some to the byte."""
    some = {
        c.name: int(rng.integers(1, c.channels + 1))
        for c in costs
        if rng.integers(2)
    }
    memory, macs = costs.memory_bytes(some), costs.macs(some)
    memory = {
        0: None,
        1: max(memory + int(rng.integers(-1, 2)), 1),
        2: int(memory * rng.uniform(0.6, 1.2)) + 1,
        3: int(memory * rng.uniform(0.6, 1.2)) + 1,
    }[int(rng.integers(4))]
    macs = {
        0: None,
        1: max(macs + int(rng.integers(-1, 2)), 1),
        2: int(macs * rng.uniform(0.5, 1.5)) + 1,
        3: float(rng.uniform(0.05, 1.0)),
    }[int(rng.integers(4))]
    return ktt.Budget(memory=memory, macs=macs)
