"""What a device takes of images: computed in Keras, where it is not pixels."""

from __future__ import annotations

import numpy as np
from keras import layers

from keras_tinytrain.export.blob import Blob
from keras_tinytrain.export.contents import base_hash
from keras_tinytrain.lower import lower
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.quantization.tflite import stored_input


def device_samples(
    model: AdaptiveModel, blob: Blob, images: np.ndarray
) -> np.ndarray:
    """Returns the samples of images: pixels, or features of the prefix.

    Args:
        model: What was exported.
        blob: The export.
        images: `(n, height, width, channels)`.

    Returns:
        `(n, *sample_shape)`, float32; int8 where the blob stores that.

    Raises:
        ValueError: If the blob is of another model.
    """
    network = model.network
    base = base_hash(network, lower(network))
    if base != blob.base:
        raise ValueError(
            f"Expected the model that was exported, {blob.base:016x}. "
            f"Received: {base:016x}"
        )
    first, cut = blob.tensors[0], blob.network["cut"]
    if not cut:
        if first["type"]:
            return stored_input(model, images)
        return np.asarray(images, np.float32)
    names = [op.name for op in network.ops]
    stop = names.index(cut) + 1
    if isinstance(network.ops[stop].operation, layers.ReLU | layers.Activation):
        stop += 1  # It has become part of the operation before.
    parts = [
        network.run({0: np.asarray(part, np.float32)}, 0, stop)
        for part in np.array_split(images, -(-len(images) // 64))
    ]
    output = network.ops[stop - 1].output
    samples = np.concatenate([np.asarray(part[output]) for part in parts])
    if first["type"]:
        return (samples + first["zero_point"]).astype(np.int8)
    return samples
