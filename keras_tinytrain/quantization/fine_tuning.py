"""Quantisation-aware fine-tuning of an int8 prefix, in a process of its own."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from keras_tinytrain.device_graph import DeviceOp, Graph
from keras_tinytrain.network import Network
from keras_tinytrain.quantization.calibration import batches, tensors
from keras_tinytrain.quantization.conversion import Weights
from keras_tinytrain.quantization.scales import Quantization

_PROGRAM = pathlib.Path(__file__).with_name("tfmot_process.py")
_PACKAGE = "tensorflow_model_optimization"
# Of Adam.
LEARNING_RATE, EPOCHS, BATCH_SIZE = 1e-4, 10, 8
# Kinds whose output has a scale of its own.
_ROUNDED = ("conv2d", "depthwise_conv2d", "dense", "add")


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """What fine-tuning made of a prefix.

    Attributes:
        quantizations: Quantization of each tensor of the graph.
        weights: Weights of the layers of the network.
        losses: Mean squared error of the features as a share of their mean
            square, of each epoch.
    """

    quantizations: list[Quantization]
    weights: dict[str, Weights]
    losses: list[float]


def fine_tune(
    network: Network,
    graph: Graph,
    stop: int,
    quantizations: list[Quantization],
    weights: dict[str, Weights],
    images: np.ndarray,
) -> FineTuned:
    """Trains weights and scales of a prefix as they are after rounding.

    Its output is to be what the float prefix computes: no label is needed,
    and the float tail behind it stays what it was. Runs
    tensorflow-model-optimization in a process of its own, since it would make
    this one use Keras 2.

    Args:
        network: The float network.
        graph: What `lower` made of it.
        stop: First operation of `graph` that stays float.
        quantizations: Where the scales begin: those of post-training
            quantization.
        weights: Weights of the layers of the network.
        images: What it learns from.

    Raises:
        OSError: If the package is not there, or the process fails.

    Reference:
        - [Learned Step Size Quantization](https://arxiv.org/abs/1902.08153)
        - [Quantization and Training of Neural Networks for Efficient
          Integer-Arithmetic-Only Inference](https://arxiv.org/abs/1712.05877)
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        raise OSError(
            "Expected the package tensorflow-model-optimization (pip install "
            "'keras_tinytrain[tfmot]'). Received: none"
        )
    ops = [op for op in graph.ops[:stop] if op.kind != "rescale"]
    start = ops[0].inputs[0]
    arrays = {
        f"{op.output}/{part}": getattr(weights[op.layer], part)
        for op in ops
        if op.layer
        for part in ("kernel", "bias")
    }
    arrays["images"] = _tensor(network, graph, images, start)
    task = {
        "input_shape": graph.shapes[start],
        "input_stored": quantizations[start].to_config(),
        "start": start,
        "ops": [_row(op, quantizations) for op in ops],
        "learning_rate": LEARNING_RATE,
        "epochs": EPOCHS,
        "batch_size": BATCH_SIZE,
    }
    found = _run(task, arrays)
    tuned, changed = list(quantizations), dict(weights)
    for tensor in [start, *(op.output for op in ops if op.kind in _ROUNDED)]:
        scale = float(found[f"scale/{tensor}"])
        tuned[tensor] = Quantization(scale, quantizations[tensor].zero_point)
    for op in ops:
        if op.layer:
            kernel, bias = (
                found[f"{op.output}/{p}"] for p in ("kernel", "bias")
            )
            kernel = kernel.reshape(weights[op.layer].kernel.shape)
            changed[op.layer] = Weights(kernel, bias)
    return FineTuned(tuned, changed, found["losses"].tolist())


def _run(task: dict, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "task.json").write_text(json.dumps(task))
        np.savez(folder / "task.npz", **arrays)
        process = subprocess.run(
            [sys.executable, _PROGRAM, folder], capture_output=True, text=True
        )
        if process.returncode:
            raise OSError(
                "Expected tensorflow-model-optimization to fine-tune the "
                f"prefix. Received: exit status {process.returncode} and\n"
                f"{process.stderr[-2000:]}"
            )
        return dict(np.load(folder / "result.npz"))


def _row(op: DeviceOp, quantizations: list[Quantization]) -> dict:
    """Describes an operation for the program."""
    row = dataclasses.asdict(op)
    rounded = op.kind in _ROUNDED
    return {
        name: row[name]
        for name in (
            *("kind", "inputs", "output", "activation"),
            *("kernel", "strides", "padding"),
        )
    } | {
        "channels": op.shape[2],
        "weighted": op.layer is not None,
        "stored": quantizations[op.output].to_config() if rounded else None,
    }


def _tensor(
    network: Network, graph: Graph, images: np.ndarray, wanted: int
) -> np.ndarray:
    """Returns a tensor of `graph` for images."""
    found = [
        np.asarray(tensor, np.float32)
        for batch in batches(images)
        for i, tensor in enumerate(tensors(network, graph, batch))
        if i == wanted
    ]
    return np.concatenate(found)
