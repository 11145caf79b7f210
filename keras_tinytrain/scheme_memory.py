"""What schemes of SparseUpdate take: a sum over their parts, in bits."""

from __future__ import annotations

import dataclasses

from keras_tinytrain.budget import BYTES_PER_TRAINED_WEIGHT, LayerCosts
from keras_tinytrain.sparse_update import Scheme, trained_count

MEMORY_MODELS = ("int8", "paper")
# Bits of a weight, a stored number and a bias when training in int8.
WEIGHT_BITS = ACTIVATION_BITS = 8
BIAS_BITS = 32
FLOAT_BYTES = 4  # What `LayerCosts` counts in.


@dataclasses.dataclass(frozen=True)
class SchemeMemory:
    """Counts the memory of schemes of one network.

    The `"int8"` model is what training adds to inference at int8: the trained
    weights and biases, the inputs that gradients of weights read, one bit of
    each output whose gradient is clamped, and the input of the classifier.
    The published schemes are named after this in KB, rounded down.

    The `"paper"` model is that of `keras_tinytrain.layer_costs`, which
    TinyTrain's tables follow.

    Args:
        costs: Costs of all layers.
        model: `"int8"` or `"paper"`.

    Reference:
        - tiny-training's `nelem_saved_for_backward` in `mcu_ir_gen.py`.
    """

    costs: LayerCosts
    model: str = "int8"

    def __post_init__(self) -> None:
        if self.model not in MEMORY_MODELS:
            raise ValueError(
                f"Expected a memory model of {MEMORY_MODELS}. Received: "
                f"{self.model!r}"
            )

    def of(self, scheme: Scheme) -> int:
        """Returns the bits of a scheme."""
        biased = range(scheme.layers - scheme.biases, scheme.layers)
        return (
            self.fixed(scheme.layers)
            + sum(self.of_biases(index) for index in biased)
            + sum(self.of_weights(*part) for part in scheme.ratios)
        )

    def fixed(self, layers: int) -> int:
        """Returns the bits of a scheme that trains nothing.

        Args:
            layers: How many layers it counts.
        """
        if self.model == "paper":
            return 8 * self.costs.peak_bytes
        return ACTIVATION_BITS * self.costs[layers - 1].channels

    def of_biases(self, index: int) -> int:
        """Returns the bits that the biases of a layer add."""
        if self.model == "paper":
            return 0
        cost = self.costs[index]
        return BIAS_BITS * cost.biases + cost.output_bytes // FLOAT_BYTES

    def of_weights(self, index: int, ratio: float) -> int:
        """Returns the bits that a ratio of the weights of a layer adds."""
        cost = self.costs[index]
        count, every = trained_count(cost, ratio), trained_count(cost, 1.0)
        weights = count * cost.weights // every
        if self.model == "paper":
            return 8 * BYTES_PER_TRAINED_WEIGHT * weights
        stored = count * (cost.input_bytes // FLOAT_BYTES) // every
        return WEIGHT_BITS * weights + ACTIVATION_BITS * stored
