"""The evolutionary search for schemes, as the paper of SparseUpdate has it."""

from __future__ import annotations

import numpy as np

from keras_tinytrain.budget import LayerCosts
from keras_tinytrain.scheme_search import Contributions, SchemeSpace
from keras_tinytrain.sparse_update import Scheme

# Chance that a gene of a child is drawn anew, and of the first schemes.
MUTATION = 0.05
FIRST_MUTATION = 0.2


def evolve_scheme(
    contributions: Contributions,
    costs: LayerCosts,
    memory_bytes: int,
    *,
    memory_model: str = "int8",
    seed: int = 0,
    generations: int = 500,
    population: int = 512,
) -> Scheme:
    """Finds a scheme with a large summed gain inside a memory limit.

    In each generation the better half of the schemes lives on and has
    children by crossing and mutation; a child that takes too much memory
    loses parts at random until it fits.

    Args:
        contributions: The gains. What has none does not train.
        costs: Costs of all layers.
        memory_bytes: The limit.
        memory_model: What it counts, see `SchemeMemory`.
        seed: Seed of all that is drawn.
        generations: Number of generations.
        population: Schemes in each.

    Returns:
        The best `Scheme` found. More generations of the same seed never
        find less.

    Raises:
        ValueError: If the limit is too small to train any bias, or the memory
            model is unknown.

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472), section 2.2. Numbers and
          rates of its search are not published.
    """
    space = SchemeSpace(contributions, costs, memory_bytes, memory_model)
    breed = _Breed(space, np.random.default_rng(seed))
    genes = np.zeros((population, 1 + len(space.layers)), int)
    genes = breed.repair(breed.mutate(genes, FIRST_MUTATION))
    # What trains nothing fits, so that there is always something to go on.
    genes[0] = 0
    for _ in range(generations):
        # Without twins, which would soon be all that there is.
        genes = np.unique(genes, axis=0)
        order = np.argsort(-breed.gains(genes), kind="stable")
        parents = genes[order[: population // 2]]
        children = breed.cross(parents, population - len(parents))
        children = breed.repair(breed.mutate(children, MUTATION))
        genes = np.concatenate([parents, children])
    return space.scheme(genes[np.argmax(breed.gains(genes))])


class _Breed:
    """What happens to rows of genes."""

    def __init__(self, space: SchemeSpace, random: np.random.Generator) -> None:
        self.space, self.random = space, random
        ratios = [len(space.ratios)] * len(space.layers)
        self.choices = [len(space.biases), *ratios]

    def gains(self, genes: np.ndarray) -> np.ndarray:
        """Returns the summed gain of each row."""
        return self._sum(genes, self.space.bias_gains, self.space.gains)

    def bits(self, genes: np.ndarray) -> np.ndarray:
        """Returns the memory of each row."""
        return self._sum(genes, self.space.bias_bits, self.space.bits)

    def _sum(self, genes, of_biases, of_layers) -> np.ndarray:
        choice, ratios = genes[:, 0], genes[:, 1:]
        ratios = np.where(self.space.reach[choice], ratios, 0)
        layers = np.arange(len(self.space.layers))
        return of_biases[choice] + of_layers[layers, ratios].sum(axis=1)

    def cross(self, parents: np.ndarray, count: int) -> np.ndarray:
        """Returns rows with each gene from one of two parents."""
        pairs = self.random.integers(len(parents), size=(2, count))
        mother, father = parents[pairs]
        return np.where(self.random.random(mother.shape) < 0.5, mother, father)

    def mutate(self, genes: np.ndarray, rate: float) -> np.ndarray:
        """Draws some genes anew."""
        drawn = self.random.integers(self.choices, size=genes.shape)
        return np.where(self.random.random(genes.shape) < rate, drawn, genes)

    def repair(self, genes: np.ndarray) -> np.ndarray:
        """Lowers genes of rows above the limit until they fit."""
        genes = genes.copy()
        while True:
            above = np.flatnonzero(self.bits(genes) > self.space.limit)
            if not len(above):
                return genes
            # Any gene that is not 0 yet; the number of biases last of all.
            worth = self.random.random(genes[above].shape)
            worth[:, 0] -= 1.0
            worth[genes[above] == 0] = -2.0
            genes[above, np.argmax(worth, axis=1)] -= 1
