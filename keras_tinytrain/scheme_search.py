"""Searches what SparseUpdate trains, from the gain of each part alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from keras_tinytrain.budget import LayerCosts
from keras_tinytrain.sparse_update import Scheme

# Shares of a layer's channels that may train, besides none.
RATIOS = (0.125, 0.25, 0.5, 1.0)
# Chance that a gene of a child is drawn anew.
MUTATION = 0.05
# Bits of what the published memory model counts, at int8.
WEIGHT_BITS = ACTIVATION_BITS = 8
BIAS_BITS = 32
FLOAT_BYTES = 4  # What `LayerCosts` counts in.


@dataclasses.dataclass(frozen=True)
class Contributions:
    """Accuracy that parts of a network gain, each measured alone.

    Attributes:
        biases: Gain of training the biases of the last k layers, by k.
        weights: Gain of training the weights of a share of a layer's
            channels as well, beyond that of the biases from this layer on,
            by layer and share.
    """

    biases: Mapping[int, float]
    weights: Mapping[tuple[int, float], float]

    def of(self, scheme: Scheme) -> float:
        """Returns the summed gain of the parts of a scheme."""
        parts = (self.weights.get(part, 0.0) for part in scheme.ratios)
        return self.biases.get(scheme.biases, 0.0) + sum(parts)


def extra_memory_bits(scheme: Scheme, costs: LayerCosts) -> int:
    """Counts the memory that a scheme adds to inference at int8, in bits.

    These are the trained weights and biases, the inputs that gradients of
    weights read, one bit of each output whose gradient is clamped, and the
    input of the classifier. The names of the published schemes are this in
    KB, rounded down.

    Args:
        scheme: The scheme.
        costs: Costs of all layers.

    Reference:
        - tiny-training's `nelem_saved_for_backward`.
    """
    last = costs[scheme.layers - 1]
    total = ACTIVATION_BITS * last.channels
    for index in range(scheme.layers - scheme.biases, scheme.layers):
        total += _bias_bits(costs, index)
    for index, ratio in scheme.ratios:
        total += _weight_bits(costs, index, ratio)
    return total


def _bias_bits(costs: LayerCosts, index: int) -> int:
    cost = costs[index]
    return BIAS_BITS * cost.biases + cost.output_bytes // FLOAT_BYTES


def _weight_bits(costs: LayerCosts, index: int, ratio: float) -> int:
    cost = costs[index]
    size = cost.inputs or cost.channels
    weights = WEIGHT_BITS * cost.weights
    stored = ACTIVATION_BITS * cost.input_bytes // FLOAT_BYTES
    return int(size * ratio) * (weights + stored) // size


def search_scheme(
    contributions: Contributions,
    costs: LayerCosts,
    memory_bytes: int,
    *,
    seed: int = 0,
    generations: int = 500,
    population: int = 512,
) -> Scheme:
    """Finds the scheme with the largest summed gain inside a memory limit.

    An evolutionary search. In each generation the better half of the schemes
    lives on and has children by crossing and mutation; a child that takes
    too much memory loses parts at random until it fits. On drawn problems of
    the size of MCUNet the sum is 0.1 % below the largest there is on average,
    and 1.4 % at most (docs/reproduce.md).

    Args:
        contributions: The gains. What has none does not train.
        costs: Costs of all layers.
        memory_bytes: Limit of `extra_memory_bits`, in bytes.
        seed: Seed of all that is drawn.
        generations: Number of generations.
        population: Schemes in each.

    Returns:
        The best `Scheme` found, named after its memory.

    Raises:
        ValueError: If the limit is too small to train any bias.

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472), section 2.2. Numbers and
          rates of its search are not published.
    """
    space = _Space(contributions, costs, 8 * memory_bytes)
    random = np.random.default_rng(seed)
    genes = np.zeros((population, len(space.choices)), int)
    genes = space.repair(space.mutate(genes, 0.2, random), random)
    # What trains nothing fits, so that there is always something to go on.
    genes[0] = 0
    for _ in range(generations):
        # Without twins, which would soon be all that there is.
        genes = np.unique(genes, axis=0)
        order = np.argsort(-space.gain(genes), kind="stable")
        parents = genes[order[: population // 2]]
        shape = 2, population - len(parents)
        mother, father = parents[random.integers(len(parents), size=shape)]
        crossed = np.where(random.random(mother.shape) < 0.5, mother, father)
        children = space.mutate(crossed, MUTATION, random)
        genes = np.concatenate([parents, space.repair(children, random)])
    return space.scheme(genes[np.argmax(space.gain(genes))])


class _Space:
    """Schemes as rows of genes: the biases, then a share of each layer.

    Gene 0 of a row chooses how many layers train their biases; a layer below
    these is as if its own gene were 0.
    """

    def __init__(self, contributions, costs, limit: int) -> None:
        self.costs, self.limit, layers = costs, limit, len(costs)
        self.biases = [0, *sorted(k for k in contributions.biases if k)]
        self.layers = sorted({i for i, _ in contributions.weights})
        self.ratios = (0.0, *sorted({r for _, r in contributions.weights}))
        self.choices = [len(self.biases)]
        self.choices += [len(self.ratios)] * len(self.layers)
        parts = list(itertools.product(self.layers, self.ratios))
        shape = len(self.layers), len(self.ratios)
        gains = [contributions.weights.get(part, 0.0) for part in parts]
        bits = [_weight_bits(costs, *part) for part in parts]
        self._gains = np.reshape(gains, shape)
        self._bits = np.reshape(np.array(bits, np.int64), shape)
        self._bias_gains = np.array(
            [contributions.biases.get(k, 0.0) for k in self.biases]
        )
        none = Scheme("", costs.fingerprint, layers, 0, ())
        self._bias_bits = np.array(
            [
                extra_memory_bits(dataclasses.replace(none, biases=k), costs)
                for k in self.biases
            ]
        )
        # Whether the biases of a choice reach each layer.
        first = layers - np.array(self.biases)
        self._reach = first[:, None] <= np.array(self.layers, int)[None]
        least = min(self._bias_bits[1:], default=0)
        if least > limit or not self.choices[0] > 1:
            raise ValueError(
                "Expected a limit that the biases of the last measured layers "
                f"fit, which take {-(-least // 8):,} bytes. Received: "
                f"{limit // 8:,} bytes and gains of {len(self.biases) - 1} "
                "numbers of biases"
            )

    def _ratio_genes(self, genes: np.ndarray) -> np.ndarray:
        return np.where(self._reach[genes[:, 0]], genes[:, 1:], 0)

    def gain(self, genes: np.ndarray) -> np.ndarray:
        """Returns the summed gain of each row."""
        of_layer = np.arange(len(self.layers)), self._ratio_genes(genes)
        return self._bias_gains[genes[:, 0]] + self._gains[of_layer].sum(1)

    def bits(self, genes: np.ndarray) -> np.ndarray:
        """Returns the memory of each row."""
        of_layer = np.arange(len(self.layers)), self._ratio_genes(genes)
        return self._bias_bits[genes[:, 0]] + self._bits[of_layer].sum(1)

    def mutate(self, genes: np.ndarray, rate: float, random) -> np.ndarray:
        """Draws some genes anew."""
        drawn = random.integers(self.choices, size=genes.shape)
        return np.where(random.random(genes.shape) < rate, drawn, genes)

    def repair(self, genes: np.ndarray, random) -> np.ndarray:
        """Lowers genes of rows above the limit until they fit."""
        genes = genes.copy()
        while True:
            above = np.flatnonzero(self.bits(genes) > self.limit)
            if not len(above):
                return genes
            # Any gene that is not 0 yet; the number of biases last of all.
            worth = random.random(genes[above].shape)
            worth[:, 0] -= 1.0
            worth[genes[above] == 0] = -2.0
            genes[above, np.argmax(worth, axis=1)] -= 1

    def scheme(self, row: np.ndarray) -> Scheme:
        """Returns the scheme of a row."""
        genes = self._ratio_genes(row[None])[0]
        scheme = Scheme(
            "",
            self.costs.fingerprint,
            len(self.costs),
            self.biases[row[0]],
            {i: self.ratios[g] for i, g in zip(self.layers, genes) if g},
        )
        size = extra_memory_bits(scheme, self.costs) // 8 // 1024
        return dataclasses.replace(scheme, name=f"{size}kb")
