"""Runs a blob with NumPy alone: the other route to a network's output."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def run(blob, inputs):
    """Computes all tensors of a `Blob` from `(n, height, width, channels)`."""
    tensors = [np.asarray(inputs, np.float64)]
    for op in blob.operations:
        operands = [tensors[op["input"]]]
        if op["second"] != 0xFFFFFFFF:
            operands.append(tensors[op["second"]])
        weights = None
        if op["layer"] != 0xFFFFFFFF:
            weights = blob.weights[op["layer"]]
        output = _KINDS[op["kind"]](op, *operands, weights)
        limit = {0: None, 1: np.inf, 2: 6.0}[op["activation"]]
        if limit is not None:
            output = np.clip(output, 0, limit)
        tensors.append(output)
        expected = blob.tensors[op["output"]]
        assert output.shape[1:] == tuple(
            expected[side] for side in ("height", "width", "channels")
        )
    return tensors


def _windows(op, x, fill):
    """Returns `(n, height, width, channels, kernel height, kernel width)`."""
    sides = (op["top"], op["bottom"]), (op["left"], op["right"])
    x = np.pad(x, ((0, 0), *sides, (0, 0)), constant_values=fill)
    kernel = op["kernel_height"], op["kernel_width"]
    windows = sliding_window_view(x, kernel, axis=(1, 2))
    return windows[:, :: op["stride_down"], :: op["stride_across"]]


def _conv2d(op, x, weights):
    kernel, bias = weights
    windows = _windows(op, x, 0)
    kernel = kernel.reshape(
        -1, op["kernel_height"], op["kernel_width"], x.shape[-1]
    )
    return _biased(np.einsum("nyxckl,fklc->nyxf", windows, kernel), bias)


def _depthwise_conv2d(op, x, weights):
    kernel, bias = weights
    windows = _windows(op, x, 0)
    kernel = kernel.reshape(op["kernel_height"], op["kernel_width"], -1)
    return _biased(np.einsum("nyxckl,klc->nyxc", windows, kernel), bias)


def _dense(op, x, weights):
    kernel, bias = weights
    return _biased(x.reshape(len(x), 1, 1, -1) @ kernel.T, bias)


def _biased(x, bias):
    return x + bias if len(bias) else x


def _max_pool(op, x, weights):
    return _windows(op, x, -np.inf).max(axis=(-1, -2))


def _average_pool(op, x, weights):
    inside = np.isfinite(_windows(op, np.zeros_like(x), np.inf))
    sums = _windows(op, x, 0).sum(axis=(-1, -2))
    return sums / inside.sum(axis=(-1, -2))


_KINDS = {
    1: _conv2d,
    2: _depthwise_conv2d,
    3: _dense,
    4: lambda op, x, y, weights: x + y,
    5: lambda op, x, weights: x.mean(axis=(1, 2), keepdims=True),
    6: _average_pool,
    7: _max_pool,
    8: lambda op, x, weights: x,
    9: lambda op, x, weights: x * op["factor"] + op["summand"],
}
