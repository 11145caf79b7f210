"""Layers to test convolutions with: sizes, strides, paddings, masks."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from kernel_library import Guarded, Kernels, Rows, shape_of

VALID = (0, 0, 0, 0)


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns the zeros before and after an axis, as TensorFlow puts them."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Layer(NamedTuple):
    """A convolution: (height, width), channels in and out."""

    size: tuple[int, int]
    channels: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    mask: str  # Which channels are trained: none, one, some, all.

    def __str__(self):
        return "-".join(
            "x".join(map(str, part)) if isinstance(part, tuple) else part
            for part in self
        )


def layers(depthwise: bool = False) -> list[Layer]:
    """Crosses kernels, strides and paddings; sizes and masks take turns."""
    sizes = ((8, 8), (9, 7), (5, 12), (7, 7), (4, 4))
    channels = ((8, 12), (3, 5), (16, 8), (5, 9), (1, 4))
    if depthwise:
        channels = ((8, 8), (5, 5), (12, 12), (3, 3), (1, 1))
    masks = ("some", "none", "all", "one")
    found = []
    for k in (1, 3, 5, 7, 4):
        for s in (1, 2):
            for name in ("same", "valid", "symmetric", "odd"):
                turn = len(found)
                size = sizes[turn % 5]
                if name == "valid":
                    size = tuple(max(side, k) for side in size)
                padding = {
                    "same": (*same(size[0], k, s), *same(size[1], k, s)),
                    "valid": VALID,
                    "symmetric": (k // 2,) * 4,
                    "odd": (0, k - 1, k - 1, min(1, k - 1)),
                }[name]
                found.append(
                    Layer(
                        size,
                        channels[(turn + turn // 5) % 5],
                        (k, k),
                        (s, s),
                        padding,
                        masks[(turn + turn // 4) % 4],
                    )
                )
    last = (13, 13) if depthwise else (4, 13)
    return [
        *found,
        Layer((6, 11), last, (3, 5), (2, 1), (1, 1, 2, 2), "some"),
        Layer((1, 1), last, (1, 1), (1, 1), VALID, "some"),
        Layer((1, 1), last, (7, 7), (1, 1), (3, 3, 3, 3), "all"),
        Layer((3, 3), last, (7, 7), (2, 2), (3, 3, 3, 3), "one"),
        Layer((16, 16), last, (3, 3), (2, 2), (1, 1, 1, 1), "all"),
    ]


class Case:
    """Random tensors for a layer.

    Weights are in Keras' layout, `(height, width, in, out)`, and in the
    kernels': a row per output channel. The rows of trained channels are NaN
    in the base, which nobody may read.
    """

    def __init__(self, kernels: Kernels, layer: Layer, depthwise: bool = False):
        rng = np.random.default_rng(zlib.crc32(str(layer).encode()))
        n_in, n_out = layer.channels
        self.kernels, self.layer = kernels, layer
        self.prefix = "depthwise_conv2d" if depthwise else "conv2d"
        self.depthwise = depthwise
        self.window = kernels.window(
            layer.size, n_in, n_out, layer.kernel, layer.stride, layer.padding
        )
        self.input_shape = shape_of(self.window.input)
        self.output_shape = shape_of(self.window.output)
        self.channels = {
            "none": np.arange(0),
            "one": rng.integers(n_out, size=1),
            "some": np.sort(rng.permutation(n_out)[: (n_out + 1) // 2]),
            "all": np.arange(n_out),
        }[layer.mask].astype(np.uint16)

        def draw(*shape):
            return rng.normal(size=shape).astype(np.float32)

        self.input = draw(*self.input_shape)
        self.d_output = draw(*self.output_shape)
        self.filter = draw(*layer.kernel, 1 if depthwise else n_in, n_out)
        self.bias = draw(n_out)
        self.start = draw(*self.input_shape)  # Of d_input.

    def rows(self, filter_=None):
        """Returns a filter, own or given, as rows per output channel."""
        filter_ = self.filter if filter_ is None else filter_
        return np.ascontiguousarray(np.moveaxis(filter_, -1, 0))

    def weights(self):
        """Returns filter and bias with their trained rows apart."""
        base = self.filter.copy()
        base[..., self.channels] = np.nan
        base = base if self.depthwise else self.rows(base)
        bias = self.bias.copy()
        bias[self.channels] = np.nan
        return (
            Rows(base, self.rows()[self.channels], self.channels),
            Rows(bias, self.bias[self.channels], self.channels),
        )

    def _call(self, name, fast, *values, scratch=True):
        function = getattr(self.kernels, f"{self.prefix}_{name}")
        if not (self.depthwise and scratch):
            return function(fast, self.window, *values)
        count = getattr(self.kernels, f"{self.prefix}_{name}_scratch_bytes")
        area = Guarded(count(self.window), np.uint8, fill=0xFF)
        result = function(fast, self.window, *values[:-1], area, values[-1])
        used = area.check()
        # Exactly what the twin says: the last float is written too.
        assert not fast or not np.all(used[-4:] == 0xFF)
        return result

    def forward(self, fast=True):
        """Returns the outputs."""
        output = Guarded(self.output_shape, fill=np.nan)
        self._call("forward", fast, self.input, *self.weights(), output)
        return output.check()

    def backward_input(self, fast=True):
        """Returns `start` with the gradient of the input added."""
        d_input = Guarded(self.input_shape, fill=self.start)
        filter_, _ = self.weights()
        self._call("backward_input", fast, self.d_output, filter_, d_input)
        return d_input.check()

    def backward_filter(self, fast=True):
        """Returns 1 with the gradient of the trained rows added."""
        d_filter = Guarded(self.rows()[self.channels].shape, fill=1)
        self._call(
            *("backward_filter", fast, self.input, self.d_output),
            *(self.channels, len(self.channels), d_filter),
            scratch=False,
        )
        return d_filter.check()

    def backward_bias(self):
        """Returns 1 with the gradient of the trained biases added."""
        d_bias = Guarded(len(self.channels), fill=1)
        self.kernels.bias_backward(
            self.window, self.d_output, self.channels, d_bias.array.size, d_bias
        )
        return d_bias.check()
