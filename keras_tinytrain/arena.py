"""The bytes that the device engine takes for training parts of a network."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from keras_tinytrain.device_graph import Graph, first_operation

BYTES = 4  # float32
# What trains is kept as value, gradient and Adam's two moments.
STATES = 4
# The engine's own tables: of each block of `work`, of each layer.
BLOCK_BYTES, COUNT_BYTES = 10, 2
CHANNEL_BYTES = 2  # Place of a trained channel in the list.
DEPTHWISE_LANES = 4  # Channels of a depthwise kernel brought together.
IN_PLACE = ("add", "activation", "rescale")


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
        self._size = BYTES * np.array([math.prod(s) for s in graph.shapes])
        position = {op.layer: i for i, op in enumerate(graph.ops)}
        self._position = np.array([position[name] for name in layers])
        # From its first layer on a network is exported whole.
        starts = [first_operation(graph, name) for name in layers]
        self._starts = [0, *starts[1:]]
        self._first = None if first is None else list(layers).index(first)
        self._has_layer = np.array([op.layer is not None for op in graph.ops])
        depth = graph.depth(head)
        self._head_bytes = BYTES * (2 * depth + 3 + 3 * way)
        sets = STATES if head == "linear" else 1
        self._vector_bytes = BYTES * sets * way * depth
        self._index_operations()
        self._index_readers()
        self._index_layers(len(layers))
        self._index_times()
        self._known: dict[tuple, int] = {}

    def input_bytes(self, layer: int) -> int:
        """Returns the size of a layer's input, without padding."""
        op = self._ops[self._position[layer]]
        return int(self._size[op.inputs[0]])

    def fixed_bytes(
        self, learning: Collection[int], kept: Collection[int]
    ) -> int:
        """Returns the bytes of training parts of layers, but for the parts.

        Args:
            learning: Indices of the layers of which anything trains.
            kept: Of these, the ones whose weights train, not biases alone.
        """
        counts = COUNT_BYTES * int(
            self._has_layer[self._start(learning) :].sum()
        )
        persistent = counts + -counts % 4 + self._vector_bytes
        return persistent + self.work_bytes(learning, kept)

    def work_bytes(
        self, learning: Collection[int], kept: Collection[int]
    ) -> int:
        """Returns those of the region that holds nothing between two calls.

        Args:
            learning: Indices of the layers of which anything trains.
            kept: Of these, the ones whose weights train.
        """
        key = tuple(sorted(learning)), tuple(sorted(kept))
        if key not in self._known:
            start = self._start(learning)
            table = BLOCK_BYTES * (3 * (len(self._ops) - start + 1) + 1)
            peak = self._peak(start, list(key[0]), list(key[1]))
            self._known[key] = table + -table % 4 + peak
        return self._known[key]

    def _start(self, learning: Collection[int]) -> int:
        """Returns the first operation that the device has."""
        first = min(learning, default=self._first or 0)
        if self._first is not None:
            first = min(first, self._first)
        return self._starts[first]

    def _index_operations(self) -> None:
        ops, size = self._ops, self._size
        numbers = size[1:] // BYTES
        bits = BYTES * -(-numbers // 32)
        bytes_ = BYTES * -(-numbers // 4)
        clamps = np.array([op.activation != "none" for op in ops])
        pools = np.array([op.kind == "max_pool" for op in ops])
        self._mask = np.where(clamps, bits, 0)
        self._taps = np.where(pools, bytes_, 0)
        self._scratch = np.array(
            [
                BYTES * DEPTHWISE_LANES * math.prod(op.kernel)
                if op.kind == "depthwise_conv2d"
                else 0
                for op in ops
            ]
        )
        self._in_place = np.array([op.kind in IN_PLACE for op in ops])
        # A second column for operations of one input repeats the first.
        self._inputs = np.array([(op.inputs[0], op.inputs[-1]) for op in ops])

    def _index_readers(self) -> None:
        """Finds last readers, what works in place, and what is shared."""
        ops, count = self._ops, len(self._ops)
        last = np.full(count + 1, count)
        for i, op in enumerate(ops):
            last[list(op.inputs)] = i
        self._last = last
        # By operation, the inputs whose memory the output may take over.
        ends = last[self._inputs] == np.arange(count)[:, None]
        self._ends_here = ends & self._in_place[:, None]
        self._shares = np.zeros(count, bool)
        for i, op in enumerate(ops):
            if op.kind == "add" and ends[i].all() and len(set(op.inputs)) == 2:
                earlier, later = sorted(op.inputs)
                maker = ops[later - 1] if later else None
                self._shares[i] = (
                    maker is not None
                    and maker.kind not in IN_PLACE
                    and maker.activation == "none"
                    and not any(later in o.inputs for o in ops[:i])
                    and not any(earlier in o.inputs for o in ops[later - 1 : i])
                )

    def _index_layers(self, layers: int) -> None:
        """Finds which tensors depend on each layer, `(tensors, layers)`."""
        self._depends = np.zeros((len(self._ops) + 1, layers), bool)
        layer_at = {int(p): i for i, p in enumerate(self._position)}
        for i, op in enumerate(self._ops):
            for tensor in op.inputs:
                self._depends[i + 1] |= self._depends[tensor]
            if i in layer_at:
                self._depends[i + 1, layer_at[i]] = True

    def _index_times(self) -> None:
        """Sets when blocks begin.

        Of n operations, operation i runs at time i, the head at n and the
        backward pass of operation i at 2 n - i.
        """
        count = len(self._ops)
        self._forward = np.arange(count)
        self._backward = 2 * count - self._forward
        last = self._last[1:]
        gradients = 2 * count - last + (last == count)
        # Of values, masks, taps, scratch forward and back, gradients.
        self._begins = np.concatenate(
            [*[self._forward] * 4, self._backward, gradients]
        )

    def _peak(self, start: int, learning: list[int], kept: list[int]) -> int:
        """Returns the largest sum of blocks at a time."""
        count = len(self._ops)
        forward, backward = self._forward, self._backward
        there = forward >= start
        behind = self._depends[:, learning].any(axis=1)
        inputs_behind = behind[self._inputs]
        passes = inputs_behind[:, 0] | inputs_behind[:, 1]
        until = np.full(count + 1, -1)
        for layer in sorted(kept, reverse=True):
            op = self._position[layer]
            until[self._inputs[op, 0]] = op
        # Values: the output takes the place of the first input that is free.
        free = self._ends_here & (self._inputs > start)
        free &= until[self._inputs] < 0
        takes = (
            self._inputs[free[:, 0], 0],
            self._inputs[free[:, 1] & ~free[:, 0], 1],
        )
        value_ends = np.where(until < 0, self._last, 2 * count - 1 - until)
        for replaced in takes:
            value_ends[replaced] -= 1
        # Gradients: from the last reader's backward pass to the maker's, which
        # may turn it into that of its input.
        heirs = inputs_behind & self._ends_here
        shared = self._shares & heirs[:, 0] & heirs[:, 1]
        gradient = np.where(behind, self._size, 0)
        gradient[self._inputs[shared].max(axis=1)] = 0
        sizes = np.concatenate(
            [
                self._size[1:] * there,
                self._mask * behind[1:],
                self._taps * passes,
                self._scratch * there,
                self._scratch * passes,
                gradient[1:],
            ]
        )
        ends = np.concatenate(
            [
                value_ends[1:],
                backward - 1,
                backward,
                forward,
                backward,
                backward - (heirs[:, 0] | heirs[:, 1]),
            ]
        )
        change = np.bincount(self._begins, sizes, 2 * count + 2)
        change -= np.bincount(ends + 1, sizes, 2 * count + 2)
        change[[count, count + 1]] += self._head_bytes, -self._head_bytes
        return int(np.cumsum(change).max())
