"""When the engine's blocks are there, on a sample's way there and back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from keras_tinytrain.device_graph import Graph
from keras_tinytrain.device_scratch import (
    PATCHED,
    STREAMED_SIZE,
    backward_bytes,
    forward_bytes,
    slides_in_place,
    stream_bytes,
    words,
)

BYTES = 4  # float32
SCORED_ROWS = 2  # Channels whose gradients are scored together.
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
        # Of a number, of a value, and of a gradient, which is float32.
        self._element = np.array([1 if s else BYTES for s in graph.stored])
        numbers = np.array([math.prod(s) for s in graph.shapes])
        self._values = -(-numbers * self._element // 4) * 4
        self._size = BYTES * numbers
        # A second column for operations of one input repeats the first.
        self._inputs = np.array(
            [(o.inputs[0], o.inputs[-1]) for o in graph.ops]
        )
        self._forward = np.arange(count)
        self._learns = 3 * count - 2 * self._forward
        self._backward = self._learns + 1
        self._index_ends()
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
        if self._element[self._inputs[op, 0]] == 1:
            return False  # Stored outputs are rounded, the sum is not.
        return self._size[op + 1] <= self._size[self._inputs[op, 0]]

    def input_bytes(self, op: int) -> int:
        """Returns the size of an operation's first input in float32."""
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
            source = self._inputs[op, 0]
            element = self._element[source]
            channels = self.input_channels(op)
            positions = math.prod(self._shapes[source]) // channels
            taps = math.prod(self._ops[op].kernel)
            found[:, op] = (
                PATCHED * self.row_weights(op) * element,
                PATCHED * taps * self._shapes[op + 1][-1] * element,
                words(int(element) * positions * count),
            )
        return found

    def row_weights(self, op: int) -> int:
        """Returns how many weights an output channel has."""
        depthwise = self._ops[op].kind == "depthwise_conv2d"
        each = 1 if depthwise else self.input_channels(op)
        return math.prod(self._ops[op].kernel) * each

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
        streams = self._streams(there, depends, inputs)
        behind = np.zeros(count, bool)
        for op, length in streams.items():
            behind[op + 1 : op + length] = True
        # Values: the output takes the place of the first input that is free.
        free = self._makes_room & (self._inputs > start)
        free &= (until[self._inputs] < 0) & ~behind[:, None]
        takes = (
            self._inputs[free[:, 0], 0],
            self._inputs[free[:, 1] & ~free[:, 0], 1],
        )
        value_ends = np.where(until < 0, last, self._learns[until])
        for replaced in takes:
            value_ends[replaced] -= 1
        # What is streamed is never there, and its source for longer.
        values = self._values[1:] * there
        rows = np.zeros(count, int)
        for op, length in streams.items():
            values[op : op + length - 1] = 0
            source, end = self._inputs[op, 0], op + length - 1
            if value_ends[source] == op:
                value_ends[source] = end
            kept, more = self._rows[op + 1]
            rows[end] = self._scratch[0, op + 1] + kept + more * (length == 3)
        # Gradients: from the last reader's backward pass to the maker's, which
        # may turn it into that of its input.
        heirs = read & self._hands_on
        shared = self._shares & heirs[:, 0] & heirs[:, 1]
        gradient = np.where(depends, self._size, 0)
        gradient[self._inputs[shared].max(axis=1)] = 0
        patches = self._patches(inputs)
        sizes = np.concatenate(
            [
                values,
                self._mask * depends[1:],
                self._taps * passes,
                self._scratch[0] * (there & ~behind) + rows + patches[0],
                np.broadcast_to(scratch, count),
                (self._scratch[1] + patches[1]) * passes,
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
        sources = [self._shapes[op.inputs[0]] for op in ops]
        elements = self._element[self._inputs[:, 0]].tolist()
        clamps = [
            op.activation != "none"
            or (
                op.stored is not None
                and (op.layer is not None or op.kind == "add")
            )
            for op in ops
        ]
        pools = np.array([op.kind == "max_pool" for op in ops])
        self._mask = np.where(clamps, BYTES * -(-numbers // 32), 0)
        self._taps = np.where(pools, BYTES * -(-numbers // 4), 0)
        each = list(zip(ops, sources, elements))
        self._slides = np.array([slides_in_place(*part) for part in each])
        overs = self._slides & self._ends[:, 0]
        self._scratch = np.array(
            [
                [forward_bytes(*part) for part in each],
                [
                    backward_bytes(op, element, over)
                    for (op, _, element), over in zip(each, overs)
                ],
            ]
        )
        self._rows = [stream_bytes(*part[:2]) for part in each]

    def _index_ends(self) -> None:
        """Finds who reads a tensor last, the head if nobody does."""
        last = np.full(self._count + 1, self._count)
        for i, op in enumerate(self._ops):
            last[list(op.inputs)] = i
        self._last = last
        self._ends = last[self._inputs] == self._forward[:, None]

    def _streams(
        self, there: np.ndarray, depends: np.ndarray, inputs: Mapping[int, int]
    ) -> dict[int, int]:
        """Returns convolutions of which rows are asked for.

        Together with how many operations are computed with them: two, or
        three with the pointwise one behind the depthwise layer.
        """
        found = {}
        for op in np.flatnonzero(self._streamable):
            if not there[op] or depends[op + 2] or op in inputs:
                continue
            last = op + 2
            third = (
                last < self._count
                and self._projects[last]
                and not depends[last + 1]
                and last not in inputs
            )
            found[int(op)] = 3 if third else 2
        return found

    def _index_readers(self) -> None:
        """Finds last readers, what works in place, and what is shared."""
        ops, count, ends = self._ops, self._count, self._ends
        # By operation, the inputs whose memory the output may take over.
        in_place = np.array([op.kind in IN_PLACE for op in ops])
        hands_on = in_place | self._slides
        hands_on |= [op.kind == "dequantize" for op in ops]
        self._makes_room = ends & (in_place | self._slides)[:, None]
        # And those whose gradient the output's may become.
        self._hands_on = ends & hands_on[:, None]
        # Whether it may read what the operation in front makes row by row.
        self._projects = [
            op.kind == "conv2d"
            and op.kernel == op.strides == (1, 1)
            and op.inputs[0] == i
            and bool(ends[i, 0])
            for i, op in enumerate(ops)
        ]
        # Whether the next operation, depthwise, may ask for rows.
        self._streamable = np.array(
            [
                op.kind == "conv2d"
                and op.stored is not None
                and math.prod(op.shape) >= STREAMED_SIZE
                and reader.kind == "depthwise_conv2d"
                and reader.inputs[0] == i + 1
                and self._last[i + 1] == i + 1
                for i, (op, reader) in enumerate(itertools.pairwise(ops))
            ],
            bool,
        )
        self._shares = np.zeros(count, bool)
        for i, op in enumerate(ops):
            if op.kind != "add" or op.stored is not None:
                continue  # In int8 each summand has a share of its own.
            if ends[i].all() and len(set(op.inputs)) == 2:
                earlier, later = sorted(op.inputs)
                maker = ops[later - 1] if later else None
                self._shares[i] = (
                    maker is not None
                    and maker.kind not in IN_PLACE
                    and maker.activation == "none"
                    and not any(later in o.inputs for o in ops[:i])
                    and not any(earlier in o.inputs for o in ops[later - 1 : i])
                )
