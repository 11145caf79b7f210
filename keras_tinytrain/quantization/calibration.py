"""Which real values pass through a network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from keras_tinytrain.device_graph import Graph
from keras_tinytrain.network import Network

# Images at a time.
BATCH = 32


def ranges(
    network: Network, graph: Graph, images: np.ndarray
) -> list[tuple[float, float]]:
    """Finds the smallest and the largest value of each tensor.

    Args:
        network: The network.
        graph: What `lower` made of it.
        images: Its inputs.

    Returns:
        Both of each tensor of `graph`.

    Raises:
        ValueError: If a tensor has values that are not finite, or none but
            zeros.
    """
    names = ["input", *(op.name for op in graph.ops)]
    low, high = [np.inf] * len(names), [-np.inf] * len(names)
    for batch in batches(images):
        for i, tensor in enumerate(tensors(network, graph, batch)):
            low[i] = min(low[i], float(tf.reduce_min(tensor)))
            high[i] = max(high[i], float(tf.reduce_max(tensor)))
            if not np.isfinite([low[i], high[i]]).all():
                raise ValueError(
                    "Expected representative data that give finite values. "
                    f"Received: {low[i]} to {high[i]} behind {names[i]!r}"
                )
    for name, *both in zip(names, low, high):
        if both == [0.0, 0.0]:
            raise ValueError(
                "Expected representative data under which every layer gives "
                f"something else than 0.0. Received: {name!r}, which does not"
            )
    return list(zip(low, high))


def batches(images: np.ndarray) -> Iterator[tf.Tensor]:
    """Yields images, some at a time."""
    for i in range(0, len(images), BATCH):
        yield tf.constant(images[i : i + BATCH], tf.float32)


def tensors(
    network: Network, graph: Graph, batch: tf.Tensor
) -> Iterator[tf.Tensor]:
    """Yields the tensors of `graph` for a batch."""
    values = {0: batch}
    for position in range(len(network.ops)):
        values |= network.run(values, position, position + 1)
    found = []
    for source, op in zip(graph.sources, [None, *graph.ops]):
        # Sums of more than two tensors have sums of their own on the way.
        if source in values:
            found.append(values[source])
        else:
            found.append(tf.add_n([found[i] for i in op.inputs]))
        yield found[-1]
