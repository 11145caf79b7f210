"""Searches what SparseUpdate trains, from the gain of each part alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from keras_tinytrain.budget import LayerCosts
from keras_tinytrain.scheme_memory import SchemeMemory
from keras_tinytrain.sparse_update import Scheme


@dataclasses.dataclass(frozen=True)
class Contributions:
    """Accuracy that parts of a network gain, each measured alone.

    `keras_tinytrain.evaluation.measure_contributions` measures them.

    Attributes:
        biases: Gain of training the biases of the last k layers, by k.
        weights: Gain of training a ratio of the weights of a layer as well,
            beyond that of the biases from this layer on, by layer and ratio.
    """

    biases: Mapping[int, float]
    weights: Mapping[tuple[int, float], float]

    def of(self, scheme: Scheme) -> float:
        """Returns the summed gain of the parts of a scheme."""
        parts = (self.weights.get(part, 0.0) for part in scheme.ratios)
        return self.biases.get(scheme.biases, 0.0) + sum(parts)


def search_scheme(
    contributions: Contributions,
    costs: LayerCosts,
    memory_bytes: int,
    *,
    memory_model: str = "int8",
) -> Scheme:
    """Finds the scheme with the largest summed gain inside a memory limit.

    There is none with a larger sum: layers are added one by one, from the
    last, and of all combinations so far those are kept that no other beats
    in both gain and memory. A larger limit never finds less. The evolutionary
    search of the paper is `keras_tinytrain.scheme_evolution.evolve_scheme`.

    Args:
        contributions: The gains. What has none does not train.
        costs: Costs of all layers.
        memory_bytes: The limit.
        memory_model: What it counts, see `SchemeMemory`.

    Returns:
        The `Scheme`, the smallest of several that are best, named after its
        memory. Where everything measured harms, it trains nothing.

    Raises:
        ValueError: If the limit is too small to train any bias, or the memory
            model is unknown.

    Example:

    >>> scheme = search_scheme(contributions, layer_costs(model), 100 * 1024)
    >>> plan = keras_tinytrain.sparse_update_plan(model, scheme)
    """
    space = SchemeSpace(contributions, costs, memory_bytes, memory_model)
    front = _Front(
        np.zeros(1), np.zeros(1, int), np.zeros((1, len(space.layers)), int)
    )
    left = list(range(len(space.layers)))
    best, row = 0.0, np.zeros(1 + len(space.layers), int)
    for choice, (gain, bits) in enumerate(
        zip(space.bias_gains, space.bias_bits)
    ):
        while left and space.reach[choice, left[-1]]:
            front = front.extend(space, left.pop())
        fitting = np.searchsorted(front.bits, space.limit - bits, "right")
        if fitting and gain + front.gains[fitting - 1] > best:
            best = gain + front.gains[fitting - 1]
            row = np.array([choice, *front.genes[fitting - 1]])
    return space.scheme(row)


@dataclasses.dataclass(frozen=True)
class _Front:
    """Choices for some layers, each with more gain and bits than the last."""

    gains: np.ndarray
    bits: np.ndarray
    genes: np.ndarray

    def extend(self, space: SchemeSpace, layer: int) -> _Front:
        """Combines them with all ratios of one more layer."""
        gains = (self.gains[:, None] + space.gains[layer]).ravel()
        bits = (self.bits[:, None] + space.bits[layer]).ravel()
        order = np.lexsort((-gains, bits))
        order = order[bits[order] <= space.limit]
        most = np.maximum.accumulate(gains[order])
        order = order[np.diff(most, prepend=-np.inf) > 0]
        number, ratio = np.divmod(order, len(space.ratios))
        genes = self.genes[number]
        genes[:, layer] = ratio
        return _Front(gains[order], bits[order], genes)


class SchemeSpace:
    """The schemes of what was measured, as rows of genes.

    Gene 0 chooses how many layers train their biases, and each other one the
    ratio of a layer; a layer below the biases is as if its gene were 0.

    Args:
        contributions: The gains.
        costs: Costs of all layers.
        memory_bytes: The limit.
        memory_model: What it counts.

    Attributes:
        limit: The limit in bits.
        biases: Numbers of layers that gene 0 chooses from, ascending.
        layers: The layers that the other genes are for, ascending.
        ratios: The ratios that they choose from, ascending.
        bias_gains: Of each of `biases`, `(biases,)`.
        bias_bits: The same in memory.
        gains: Of each ratio of each layer, `(layers, ratios)`; minus infinity
            for what was not measured.
        bits: The same in memory.
        reach: Whether the biases reach each layer, `(biases, layers)`.
    """

    def __init__(
        self,
        contributions: Contributions,
        costs: LayerCosts,
        memory_bytes: int,
        memory_model: str,
    ) -> None:
        gains = contributions.weights
        self.costs, self.limit = costs, 8 * memory_bytes
        self.memory = SchemeMemory(costs, memory_model)
        self.biases = [0, *sorted(k for k in contributions.biases if k)]
        self.layers = sorted({index for index, _ in gains})
        self.ratios = (0.0, *sorted({ratio for _, ratio in gains}))
        self.bias_gains = np.array(
            [contributions.biases.get(k, 0.0) for k in self.biases]
        )
        none = Scheme("", costs.fingerprint, len(costs), 0, ())
        self.bias_bits = np.array(
            [
                self.memory.of(dataclasses.replace(none, biases=k))
                for k in self.biases
            ]
        )
        shape = len(self.layers), len(self.ratios)
        parts = list(itertools.product(self.layers, self.ratios))
        self.gains = np.reshape(
            [gains.get(part, -np.inf if part[1] else 0.0) for part in parts],
            shape,
        )
        bits = [self.memory.of_weights(*part) for part in parts]
        self.bits = np.reshape(np.array(bits, int), shape)
        first = len(costs) - np.array(self.biases)
        self.reach = first[:, None] <= np.array(self.layers, int)
        least = min(self.bias_bits[1:], default=0)
        if least > self.limit or len(self.biases) < 2:
            raise ValueError(
                "Expected gains of biases, and a limit that the fewest of "
                f"them fit, which take {-(-least // 8):,} bytes. Received: "
                f"gains of {len(self.biases) - 1} numbers of biases and "
                f"{memory_bytes:,} bytes"
            )

    def scheme(self, row: np.ndarray) -> Scheme:
        """Returns the scheme of a row, named after its memory."""
        choice, *genes = (int(gene) for gene in row)
        scheme = Scheme(
            "",
            self.costs.fingerprint,
            len(self.costs),
            self.biases[choice],
            {
                index: self.ratios[gene]
                for index, gene, reached in zip(
                    self.layers, genes, self.reach[choice]
                )
                if gene and reached
            },
        )
        size = self.memory.of(scheme) // 8 // 1024
        return dataclasses.replace(scheme, name=f"searched {size}kb")
