"""Layers of int8 numbers to test convolutions with."""

from __future__ import annotations

import ctypes
import zlib

import numpy as np
from kernel_cases import Layer
from kernel_library import Guarded, Kernels, Rows, shape_of


class Requantization(ctypes.Structure):
    """`tinytrain::Requantization`."""

    _fields_ = (
        ("multiplier", ctypes.c_void_p),
        ("shift", ctypes.c_void_p),
        ("input_zero_point", ctypes.c_int),
        ("zero_point", ctypes.c_int),
        ("low", ctypes.c_int),
        ("high", ctypes.c_int),
    )


class Int8Case:
    """Random int8 tensors for a layer.

    Half of the outputs or so are cut off, on either side. The rows of trained
    channels are -128 in the base, which no weight is.

    Args:
        kernels: The compiled kernels.
        layer: Sizes, window and mask.
        depthwise: Whether it is depthwise.
    """

    def __init__(self, kernels: Kernels, layer: Layer, depthwise: bool = False):
        rng = np.random.default_rng(zlib.crc32(str(layer).encode()))
        n_in, n_out = layer.channels
        self.kernels, self.layer, self.depthwise = kernels, layer, depthwise
        self.window = kernels.window(
            layer.size, n_in, n_out, layer.kernel, layer.stride, layer.padding
        )
        self.output_shape = shape_of(self.window.output)
        self.channels = {
            "none": np.arange(0),
            "one": rng.integers(n_out, size=1),
            "some": np.sort(rng.permutation(n_out)[: (n_out + 1) // 2]),
            "all": np.arange(n_out),
        }[layer.mask].astype(np.uint16)
        terms = np.prod(layer.kernel) * (1 if depthwise else n_in)
        self.input = rng.integers(-128, 128, (*layer.size, n_in), np.int8)
        # Corners of the range, where a product is largest.
        self.input.flat[:: self.input.size // 3 + 1] = -128
        shape = (*layer.kernel, 1 if depthwise else n_in, n_out)
        self.filter = rng.integers(-127, 128, shape, np.int8)
        self.bias = rng.integers(-20_000, 20_000, n_out, np.int32)
        self.zero_points = [int(z) for z in rng.integers(-128, 128, 2)]
        # Most sums use the range or leave it; some are shifted left.
        real = 1.0 / (60 * np.sqrt(terms)) * 2.0 ** rng.integers(-1, 2, n_out)
        real[rng.random(n_out) < 0.1] = 1.5
        encoded = [_encode(kernels, value) for value in real]
        self.multiplier = np.array([m for m, _ in encoded], np.int32)
        self.shift = np.array([s for _, s in encoded], np.int8)
        self.low, self.high = -128, int(rng.integers(50, 128))
        if rng.random() < 0.5:
            self.low = self.zero_points[1]
            self.high = max(self.high, self.low)
        self.to = Requantization(
            *(self.multiplier.ctypes.data, self.shift.ctypes.data),
            *(*self.zero_points, self.low, self.high),
        )

    def rows(self):
        """Returns the filter as rows per output channel."""
        return np.ascontiguousarray(np.moveaxis(self.filter, -1, 0))

    def weights(self):
        """Returns filter and bias with their trained rows apart."""
        base = self.filter.copy()
        base[..., self.channels] = -128
        base = base if self.depthwise else np.moveaxis(base, -1, 0)
        bias = self.bias.copy()
        bias[self.channels] = 2**30
        trained = self.rows()[self.channels]
        return (
            Rows(base, trained, self.channels, np.int8),
            Rows(bias, self.bias[self.channels], self.channels, np.int32),
        )

    def forward(self, fast=True, in_place=False, masked=True):
        """Returns the outputs and, bit for bit, which of them were kept."""
        kind = "depthwise_conv2d" if self.depthwise else "conv2d"
        function = getattr(self.kernels, f"{kind}_forward_int8")
        output = Guarded(self.output_shape, np.int8, fill=-77)
        source = self.input
        if in_place:
            output.array[...] = self.input
            source = output
        size = output.array.size
        mask = Guarded((size + 7) // 8, np.uint8, fill=0xFF)
        scratch = ()
        if self.depthwise:
            twin = getattr(self.kernels, f"{kind}_forward_int8_scratch_bytes")
            area = Guarded(twin(self.window), np.uint8, fill=0xFF)
            scratch = (area,)
        function(
            *(fast, self.window, source, *self.weights(), self.to, *scratch),
            *(output, mask if masked else None),
        )
        for part in scratch:
            part.check()
        bits = np.unpackbits(mask.check(), bitorder="little")
        return output.check(), bits


def _encode(kernels, real):
    multiplier, shift = ctypes.c_int(), ctypes.c_int()
    kernels.encode_factor(
        *(ctypes.c_double(real), ctypes.byref(multiplier)),
        ctypes.byref(shift),
    )
    return multiplier.value, shift.value
