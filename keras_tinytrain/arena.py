"""The bytes that the device engine takes for training parts of a network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from keras_tinytrain.device_graph import Graph, first_operation
from keras_tinytrain.lifetimes import BYTES, SCORED_ROWS, Lifetimes

# What trains is kept as value, gradient and Adam's two moments.
STATES = 4
# The engine's own tables: of each block of `work`, of each layer.
BLOCK_BYTES, COUNT_BYTES = 10, 2
CHANNEL_BYTES = 2  # Place of a trained channel in the list.
ORDER_BYTES = 16  # What selection adds for each layer.


class Arena:
    """Counts what the engine's planner counts, to the byte.

    Both regions of the device are counted, head, optimizer (Adam) and the
    engine's own tables included; the sample itself stays where it is. The
    engine packs its blocks without gaps, so what a pass needs is the largest
    sum of the blocks that are there at a time, over the forward passes of
    all operations, the head, and all backward passes.

    Args:
        graph: The whole network as the device runs it.
        layers: Names of its layers with weights, in order.
        head: `"prototype"` or `"linear"`, whose class vectors train.
        way: Number of classes.
        first: Name of a layer. The device has the network from there on, or
            from just before it, where one tensor passes; more if an
            earlier layer trains. None: from the first layer on that trains.
    """

    def __init__(
        self,
        graph: Graph,
        layers: Sequence[str],
        *,
        head: str,
        way: int,
        first: str | None = None,
    ) -> None:
        self._ops = graph.ops
        self._lifetimes = Lifetimes(graph)
        position = {op.layer: i for i, op in enumerate(graph.ops)}
        self._position = np.array([position[name] for name in layers])
        # From its first layer on a network is exported whole.
        starts = [first_operation(graph, name) for name in layers]
        self._starts = [0, *starts[1:]]
        self._first = None if first is None else list(layers).index(first)
        self._has_layer = np.array([op.layer is not None for op in graph.ops])
        depth = graph.depth(head)
        self._head_bytes = BYTES * (2 * depth + 3 + 3 * way)
        self._vector_bytes = BYTES * way * depth
        self._vector_sets = STATES if head == "linear" else 1
        self._index_layers(len(layers))
        self._known: dict[tuple, int] = {}

    def input_bytes(self, layer: int) -> int:
        """Returns the size of a layer's input in float32, without padding."""
        return self._lifetimes.input_bytes(self._position[layer])

    def fixed_bytes(
        self,
        learning: Collection[int],
        kept: Collection[int],
        inputs: Mapping[int, int] = MappingProxyType({}),
    ) -> int:
        """Returns the bytes of training parts of layers, but for the parts.

        Args:
            learning: Indices of the layers of which anything trains.
            kept: Of these, the ones whose weights train, not biases alone.
            inputs: Number of input channels of those that train such.
        """
        persistent = self._count_bytes(learning)
        persistent += self._vector_sets * self._vector_bytes
        return persistent + self.work_bytes(learning, kept, inputs)

    def work_bytes(
        self,
        learning: Collection[int],
        kept: Collection[int],
        inputs: Mapping[int, int] = MappingProxyType({}),
    ) -> int:
        """Returns those of the region that holds nothing between two calls.

        Args:
            learning: Indices of the layers of which anything trains.
            kept: Of these, the ones whose weights train.
            inputs: Number of input channels of those that train such.
        """
        chosen = {
            int(self._position[layer]): count
            for layer, count in inputs.items()
            if count < self._lifetimes.input_channels(self._position[layer])
        }
        key = (
            *(tuple(sorted(learning)), tuple(sorted(kept))),
            tuple(sorted(chosen.items())),
        )
        if key not in self._known:
            until = np.full(len(self._ops) + 1, -1)
            for layer in reversed(key[1]):
                op = self._position[layer]
                if op not in chosen:
                    until[self._ops[op].inputs[0]] = op
            self._known[key] = self._pass_bytes(
                list(key[0]), until, inputs=chosen
            )
        return self._known[key]

    def list_bytes(self, learning: Collection[int]) -> int:
        """Returns those of saying what trains of layers but channels.

        Args:
            learning: Indices of the layers of which anything trains.
        """
        return self._layer_count(learning)

    def selecting_bytes(self, scored: Collection[int]) -> tuple[int, int]:
        """Returns what scoring and selecting take of `persistent` and `work`.

        Args:
            scored: Indices of the layers that may train.
        """
        ops = self._position[sorted(scored)]
        by_output = np.array([self._lifetimes.scores_by_output(i) for i in ops])
        until = np.full(len(self._ops) + 1, -1)
        scratch = np.zeros(len(self._ops), int)
        for op in reversed(ops[~by_output]):
            until[self._ops[op].inputs[0]] = op
            row = self._lifetimes.row_weights(op)
            scratch[op] = BYTES * SCORED_ROWS * (row + 1)
        # An output waits for its maker, which comes last.
        until[ops[by_output] + 1] = ops[by_output]
        work = self._pass_bytes(sorted(scored), until, scratch)
        layers = self._layer_count(scored)
        channels = sum(self._ops[op].shape[-1] for op in ops)
        lists = COUNT_BYTES * layers + CHANNEL_BYTES * channels
        lists += -lists % 8 + ORDER_BYTES * layers
        persistent = self._count_bytes(scored) + self._vector_bytes
        return persistent + BYTES * channels, max(work, lists)

    def _pass_bytes(
        self,
        learning: list[int],
        until: np.ndarray,
        scratch: np.ndarray | int = 0,
        inputs: Mapping[int, int] = MappingProxyType({}),
    ) -> int:
        """Returns the bytes of a pass with the table of its blocks."""
        start = self._start(learning)
        table = BLOCK_BYTES * (3 * (len(self._ops) - start + 1) + 1)
        depends = self._depends[:, learning].any(axis=1)
        return (
            table
            + -table % 4
            + self._lifetimes.peak(
                start, depends, until, self._head_bytes, scratch, inputs
            )
        )

    def _layer_count(self, learning: Collection[int]) -> int:
        return int(self._has_layer[self._start(learning) :].sum())

    def _count_bytes(self, learning: Collection[int]) -> int:
        counts = COUNT_BYTES * self._layer_count(learning)
        return counts + -counts % 4

    def _start(self, learning: Collection[int]) -> int:
        """Returns the first operation that the device has."""
        first = min(learning, default=self._first or 0)
        if self._first is not None:
            first = min(first, self._first)
        return self._starts[first]

    def _index_layers(self, layers: int) -> None:
        """Finds which tensors depend on each layer, `(tensors, layers)`."""
        self._depends = np.zeros((len(self._ops) + 1, layers), bool)
        layer_at = {int(p): i for i, p in enumerate(self._position)}
        for i, op in enumerate(self._ops):
            for tensor in op.inputs:
                self._depends[i + 1] |= self._depends[tensor]
            if i in layer_at:
                self._depends[i + 1, layer_at[i]] = True
