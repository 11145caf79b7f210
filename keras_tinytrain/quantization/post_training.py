"""`quantize`: from a float model and some images to an int8 graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_tinytrain.device_graph import first_operation
from keras_tinytrain.examples import Examples, check_images
from keras_tinytrain.lower import lower
from keras_tinytrain.model import AdaptiveModel, wrap
from keras_tinytrain.quantization.calibration import ranges
from keras_tinytrain.quantization.conversion import build_int8, weights_of
from keras_tinytrain.quantization.fine_tuning import fine_tune
from keras_tinytrain.quantization.saturation import check_saturation
from keras_tinytrain.quantization.scales import range_quantization


def quantize(model: AdaptiveModel, representative_data: Any) -> AdaptiveModel:
    """Makes an int8 graph of a float model, that can be trained as well.

    Weights are int8, symmetric, with a scale per output channel; tensors
    between layers are int8, asymmetric, with one scale each, which holds all
    values that the representative data lead to; biases and accumulators are
    int32. It computes, in TensorFlow on a CPU, bit for bit what TensorFlow
    Lite's reference kernels do (docs/quantization.md). What the model has
    learned is part of it.

    Fisher potential, costs, selection, `fit`, `evaluate`, `predict`, saving
    and `unwrap` work as on a float model. Plans of one fit the other, unless
    models are nested in the model: their layers are renamed.

    Args:
        model: A wrapped float model with a fixed input size.
        representative_data: Images `(n, height, width, channels)` such as the
            model is to meet, or `Examples`. A hundred are plenty.

    Returns:
        The int8 model, wrapped, with the same head and class vectors.

    Raises:
        ValueError: If there are no images, the model is int8 already, an
            operation cannot be done in int8, or an accumulator could
            overflow, with the name of the layer.

    Example:

    >>> model = keras_tinytrain.quantize(model, dataset_images)
    >>> model.fit(support, callbacks=[TaskAdaptiveSparse(budget)])

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472), section 2.1.
        - [Quantization and Training of Neural Networks for Efficient
          Integer-Arithmetic-Only Inference](https://arxiv.org/abs/1712.05877)
    """
    return _quantized(model, representative_data, None)


def quantize_prefix(
    model: AdaptiveModel,
    representative_data: Any,
    first: str,
    *,
    fine_tunes: bool = False,
) -> AdaptiveModel:
    """Makes an int8 graph of what lies in front of a layer.

    What trains on a device behind the frozen prefix of a `model.tflite` stays
    float32, from `first` on, or from the last place in front of it where one
    tensor passes. See `keras_tinytrain.quantize`.

    Args:
        model: A wrapped float model with a fixed input size.
        representative_data: Images such as the model is to meet.
        first: Name of the first layer that may train.
        fine_tunes: Whether to train weights and scales of the prefix on the
            images, so that it computes after rounding what the float one
            does. Takes minutes, and tensorflow-model-optimization, which runs
            in a process of its own.

    Returns:
        The model, wrapped, with the same head and class vectors. Its layers
        from `first` on have their BatchNormalization folded.

    Raises:
        ValueError: As `quantize`, and if there is no such layer or nothing
            in front of it.
        OSError: If tensorflow-model-optimization is wanted and not there, or
            fails.

    Example:

    >>> model = keras_tinytrain.quantization.quantize_prefix(
    ...     model, dataset_images, "block10_expand")
    """
    graph = lower(model.network)
    names = [op.layer for op in graph.ops if op.layer]
    if first not in names:
        raise ValueError(
            f"Expected the name of a layer of {names}. Received: {first!r}"
        )
    behind = graph.ops[first_operation(graph, first) :]
    stop = min(i for op in behind for i in op.inputs)
    if not any(op.layer for op in graph.ops[:stop]):
        raise ValueError(
            "Expected a layer with some in front of it that stay frozen, "
            f"which run in int8. Received: {first!r}, with none"
        )
    return _quantized(model, representative_data, stop, fine_tunes)


def _quantized(
    model: AdaptiveModel,
    representative_data: Any,
    stop: int | None,
    fine_tunes: bool = False,
) -> AdaptiveModel:
    if any(layer.is_quantized for layer in model.masked_layers):
        raise ValueError(
            "Expected a float model. Received: one that is int8 already"
        )
    images = _images(representative_data, model.network.input_shape[1:])
    network = model.network
    graph = lower(network)
    quantizations = [
        range_quantization(*both) for both in ranges(network, graph, images)
    ]
    weights = weights_of(network)
    if fine_tunes:
        tuned = fine_tune(network, graph, stop, quantizations, weights, images)
        quantizations, weights = tuned.quantizations, tuned.weights
    source = build_int8(
        network,
        graph,
        quantizations,
        weights,
        model.name,
        stop=stop,
    )
    quantized = wrap(source, head=model.head)
    if model.class_vectors is not None:
        quantized.set_class_vectors(model.class_vectors.numpy())
    check_saturation(quantized, images)
    return quantized


def _images(data: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    images = data.images if isinstance(data, Examples) else data
    if images is None or not len(images):
        raise ValueError(
            "Expected representative data: images such as the model is to "
            "meet, from which the scales follow. Received: none"
        )
    images = check_images(images, channels=shape[-1])
    if images.shape[1:] != shape:
        raise ValueError(
            f"Expected representative images of shape {shape}. Received: "
            f"images of shape {images.shape[1:]}"
        )
    return images
