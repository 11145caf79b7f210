"""What a blob says besides operations: head, budget, candidates, weights."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np

from keras_tinytrain.budget import Budget, LayerCosts
from keras_tinytrain.device_graph import Graph
from keras_tinytrain.export import layout
from keras_tinytrain.heads import SCALE
from keras_tinytrain.masked_layers import MaskedDepthwiseConv2D
from keras_tinytrain.masking import Masked
from keras_tinytrain.network import Network
from keras_tinytrain.plan import PlanLayer, UpdatePlan
from keras_tinytrain.training import VECTOR_LENGTH


def base_hash(network: Network, graph: Graph) -> int:
    """Names a base model by its operations and the bits of its weights.

    Args:
        network: The network.
        graph: All of it, lowered.
    """
    digest = hashlib.sha256()
    for op in graph.ops:
        fields = [
            op.kind,
            op.inputs,
            op.shape,
            op.activation,
            op.kernel,
            op.strides,
            op.padding,
            op.layer,
            op.factor,
            op.summand,
            *([op.stored] if op.stored else []),
        ]
        digest.update(json.dumps(fields).encode())
    for layer in network.layers.values():
        norm = layer.batch_norm
        for variable in layer.layer.weights + (norm.weights if norm else []):
            digest.update(np.asarray(variable.numpy(), "<f4").tobytes())
        if layer.is_quantized:
            digest.update(scale_table(layer))
        if norm:
            digest.update(json.dumps([norm.epsilon]).encode())
    return int.from_bytes(digest.digest()[:8], "little")


def kernel_and_bias(name: str, layer: Masked) -> tuple[np.ndarray, np.ndarray]:
    """Returns the frozen kernel as a blob holds it, and the biases or none.

    Raises:
        ValueError: If a weight is not finite.
    """
    kernel, bias = (v.numpy() for v in layer.folded())
    if layer.is_quantized:
        kernel, bias = kernel.astype(np.int8), bias.astype(np.int32)
    for values in (kernel, bias):
        if not np.isfinite(values).all():
            raise ValueError(
                f"Expected finite weights of layer {name!r}. Received: "
                f"{np.count_nonzero(~np.isfinite(values))} that are not"
            )
    if not isinstance(layer, MaskedDepthwiseConv2D):
        kernel = channel_major(kernel)
    return kernel, bias[: None if layer.use_bias else 0]


def scale_table(layer: Masked) -> bytes:
    """Returns scales and factors of an int8 layer as a blob holds them."""
    scales = np.asarray(layer.layer.kernel_scale, "<f4")
    pairs = np.array(layer.layer.requantization.encoded, np.int64)
    multipliers, shifts = pairs.T
    return (
        scales.tobytes()
        + multipliers.astype("<i4").tobytes()
        + shifts.astype(np.int8).tobytes()
    )


def channel_major(kernel: np.ndarray) -> np.ndarray:
    """Moves the output channels of a Keras kernel to the front."""
    return np.ascontiguousarray(np.moveaxis(kernel, -1, 0))


def head_record(head: str, graph: Graph, max_way: int) -> bytes:
    """Describes the head."""
    return layout.HEAD.pack(
        kind=layout.HEAD_KINDS[head],
        embedding=layout.EMBEDDINGS[graph.embedding(head)],
        depth=graph.depth(head),
        max_way=max_way,
        scale=SCALE,
        vector_length=VECTOR_LENGTH,
    )


def training_record(costs: LayerCosts, budget: Budget, criterion: str) -> bytes:
    """Describes what selection on the device has to know."""
    limit = budget.macs_limit(costs.full_macs)
    memory = budget.memory_bytes
    return layout.TRAINING.pack(
        cost_model=layout.COST_MODELS[costs.model],
        criterion=layout.CRITERIA[criterion],
        memory_bytes=layout.NO_LIMIT if memory is None else memory,
        # MACs are whole numbers: what fits the limit fits its whole part.
        macs=layout.NO_LIMIT if math.isinf(limit) else math.floor(limit),
        full_macs=costs.full_macs,
        peak_bytes=costs.peak_bytes,
        most_weights=max(cost.weights for cost in costs),
        most_macs=max(cost.macs for cost in costs),
        weights=sum(cost.weights for cost in costs),
    )


def plan_flags(choice: PlanLayer) -> int:
    """Returns the flags of a layer in a plan."""
    by_input = layout.BY_INPUT if choice.inputs else 0
    return by_input | (layout.EVERY_BIAS if choice.bias else 0)


def plan_records(
    plan: UpdatePlan, rows: dict[str, int]
) -> tuple[list[bytes], bytes]:
    """Returns the rows of a plan and their indices.

    Args:
        plan: The plan.
        rows: Row in the layer table by name of the layer.
    """
    records, indices = [], []
    for choice in plan.layers:
        chosen = choice.inputs or choice.channels
        records.append(
            layout.PLAN.pack(
                layer=rows[choice.name],
                flags=plan_flags(choice),
                count=len(chosen),
                first=len(indices),
            )
        )
        indices += chosen
    return records, np.asarray(indices, "<u2").tobytes()
