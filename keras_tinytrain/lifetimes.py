"""When the engine's blocks are there, on a sample's way there and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from keras_tinytrain.device_graph import Graph

BYTES = 4  # float32
DEPTHWISE_LANES = 4  # Channels of a depthwise kernel brought together.
SCORED_ROWS = 2  # Channels whose gradients are scored together.
PATCHED = 4  # Rows, or columns, of weights with trained inputs.
IN_PLACE = ("add", "activation", "rescale")


class Lifetimes:
    """Sums up what a pass keeps in `work`, moment by moment.

    Of n operations the moments are: one for the forward pass of each, two for
    the head, there and back, and two for the backward pass of each, the last
    one first. In the earlier of these its weights learn, or its channels are
    scored; in the later one the gradient of its input is made.

    Args:
        graph: The whole network as the device runs it.
    """

    def __init__(self, graph: Graph) -> None:
        self._ops = graph.ops
        count = len(graph.ops)
        self._count = count
        self._shapes = graph.shapes
        self._size = BYTES * np.array([math.prod(s) for s in graph.shapes])
        # A second column for operations of one input repeats the first.
        self._inputs = np.array(
            [(o.inputs[0], o.inputs[-1]) for o in graph.ops]
        )
        self._forward = np.arange(count)
        self._learns = 3 * count - 2 * self._forward
        self._backward = self._learns + 1
        self._index_operations()
        self._index_readers()
        last = self._last[1:]
        # The head reads the features, and its way back makes their gradient.
        made = np.append(self._backward, count + 1)[last]
        # Of values, masks, taps, scratch forward, there, and back, gradients,
        # inputs that are kept apart.
        self._begins = np.concatenate(
            [
                *([self._forward] * 4),
                *(self._learns, self._backward, made, self._forward),
            ]
        )

    def scores_by_output(self, op: int) -> bool:
        """Tells which of output and input a score is summed up from."""
        return self._size[op + 1] <= self._size[self._inputs[op, 0]]

    def input_bytes(self, op: int) -> int:
        """Returns the size of an operation's first input."""
        return int(self._size[self._inputs[op, 0]])

    def input_channels(self, op: int) -> int:
        """Returns how many input channels the weights of an operation know."""
        source = self._shapes[self._inputs[op, 0]]
        dense = self._ops[op].kind == "dense"
        return math.prod(source) if dense else source[-1]

    def _patches(self, inputs: Mapping[int, int]) -> np.ndarray:
        """Returns scratch forward and back, and what is kept, by operation."""
        found = np.zeros((3, self._count), int)
        for op, count in inputs.items():
            channels = self.input_channels(op)
            positions = self._size[self._inputs[op, 0]] // BYTES // channels
            taps = math.prod(self._ops[op].kernel)
            found[:, op] = (
                PATCHED * self.row_bytes(op),
                PATCHED * taps * self._shapes[op + 1][-1] * BYTES,
                BYTES * positions * count,
            )
        return found

    def row_bytes(self, op: int) -> int:
        """Returns the size of an output channel's weights."""
        source = self._shapes[self._inputs[op, 0]]
        reads = {"depthwise_conv2d": 1, "dense": math.prod(source)}
        each = reads.get(self._ops[op].kind, source[-1])
        return BYTES * math.prod(self._ops[op].kernel) * each

    def peak(
        self,
        start: int,
        depends: np.ndarray,
        until: np.ndarray,
        head_bytes: int,
        scratch: np.ndarray | int = 0,
        inputs: Mapping[int, int] = MappingProxyType({}),
    ) -> int:
        """Returns the largest sum of blocks at a time.

        Args:
            start: First operation that the device has.
            depends: Whether each tensor depends on what learns.
            until: The operation whose backward pass is the last to need each
                tensor's value, -1 for none.
            head_bytes: Of the head, there and back.
            scratch: Of each operation while it learns.
            inputs: Number of input channels, not all, that operations train.
        """
        count, last = self._count, self._last
        there = self._forward >= start
        read = depends[self._inputs]
        passes = read[:, 0] | read[:, 1]
        # Values: the output takes the place of the first input that is free.
        free = self._ends_here & (self._inputs > start)
        free &= until[self._inputs] < 0
        takes = (
            self._inputs[free[:, 0], 0],
            self._inputs[free[:, 1] & ~free[:, 0], 1],
        )
        value_ends = np.where(until < 0, last, self._learns[until])
        for replaced in takes:
            value_ends[replaced] -= 1
        # Gradients: from the last reader's backward pass to the maker's, which
        # may turn it into that of its input.
        heirs = read & self._ends_here
        shared = self._shares & heirs[:, 0] & heirs[:, 1]
        gradient = np.where(depends, self._size, 0)
        gradient[self._inputs[shared].max(axis=1)] = 0
        patches = self._patches(inputs)
        sizes = np.concatenate(
            [
                self._size[1:] * there,
                self._mask * depends[1:],
                self._taps * passes,
                self._scratch * there + patches[0],
                np.broadcast_to(scratch, count),
                (self._scratch + patches[1]) * passes,
                gradient[1:],
                patches[2],
            ]
        )
        ends = np.concatenate(
            [
                value_ends[1:],
                self._learns - 1,
                self._backward,
                self._forward,
                self._learns,
                self._backward,
                self._backward - (heirs[:, 0] | heirs[:, 1]),
                self._learns,
            ]
        )
        moments = 3 * count + 3
        change = np.bincount(self._begins, sizes, moments)
        change -= np.bincount(ends + 1, sizes, moments)
        change[[count, count + 2]] += head_bytes, -head_bytes
        return int(np.cumsum(change).max())

    def _index_operations(self) -> None:
        ops = self._ops
        numbers = self._size[1:] // BYTES
        clamps = np.array([op.activation != "none" for op in ops])
        pools = np.array([op.kind == "max_pool" for op in ops])
        self._mask = np.where(clamps, BYTES * -(-numbers // 32), 0)
        self._taps = np.where(pools, BYTES * -(-numbers // 4), 0)
        self._scratch = np.array(
            [
                BYTES * DEPTHWISE_LANES * math.prod(op.kernel)
                if op.kind == "depthwise_conv2d"
                else 0
                for op in ops
            ]
        )

    def _index_readers(self) -> None:
        """Finds last readers, what works in place, and what is shared."""
        ops, count = self._ops, self._count
        last = np.full(count + 1, count)
        for i, op in enumerate(ops):
            last[list(op.inputs)] = i
        self._last = last
        # By operation, the inputs whose memory the output may take over.
        in_place = np.array([op.kind in IN_PLACE for op in ops])
        ends = last[self._inputs] == np.arange(count)[:, None]
        self._ends_here = ends & in_place[:, None]
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
