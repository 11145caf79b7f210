"""The int8 prefix of a `model.tflite`, and what it costs in accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_tinytrain.examples import Examples
from keras_tinytrain.heads import cosine_logits, prototypes
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.quantization import quantize_prefix

# After training alone, or with the prefix fine-tuned as it is after rounding.
QUANTIZE = "ptq", "qat"


def make_prefix(
    model: AdaptiveModel, data: Any, first: str, quantize: str
) -> tuple[AdaptiveModel, dict[str, float]]:
    """Makes an int8 prefix.

    Args:
        model: A wrapped float model.
        data: Representative images; for `"qat"` labelled ones, of which every
            other image of a class is kept to judge by.
        first: Name of the first layer that may train.
        quantize: One of `QUANTIZE`.

    Returns:
        What `quantize_prefix` makes, and for `"qat"` the accuracies of
        `"float32"`, `"ptq"` and `"qat"` on the images that were kept.

    Raises:
        ValueError: If the model is int8 already.
        OSError: If tensorflow-model-optimization is needed and not there.
    """
    if quantize == "ptq":
        return quantize_prefix(model, data, first), {}
    known, judged = _halves(data)
    tuned = quantize_prefix(model, known, first, fine_tunes=True)
    models = {
        "float32": model,
        "ptq": quantize_prefix(model, known, first),
        "qat": tuned,
    }
    found = {name: _accuracy(m, known, judged) for name, m in models.items()}
    return tuned, found


def check_labelled(data: Any) -> None:
    """Raises `ValueError` unless `"qat"` can judge by representative data."""
    if not isinstance(data, Examples):
        raise ValueError(
            "Expected labelled representative_data, `Examples`, to fine-tune "
            f"with and to judge by. Received: {type(data).__name__}"
        )
    counts = np.bincount(data.labels)
    if counts.min() < 2:
        raise ValueError(
            "Expected at least two images of each class, one to fine-tune "
            f"with and one to judge by. Received: {counts.min()} with label "
            f"{counts.argmin()}"
        )


def _halves(data: Examples) -> tuple[Examples, Examples]:
    """Parts the images of each class, turn by turn."""
    place = np.zeros(len(data), int)
    for label in np.unique(data.labels):
        own = np.flatnonzero(data.labels == label)
        place[own] = np.arange(len(own)) % 2
    return tuple(
        Examples(data.images[place == i], data.labels[place == i])
        for i in (0, 1)
    )


def _accuracy(model: AdaptiveModel, known: Examples, judged: Examples) -> float:
    """Returns how many are nearest to the mean of their own class."""
    vectors = prototypes(model.embed(known.images), known.labels, known.way)
    logits = cosine_logits(model.embed(judged.images), vectors)
    return float(np.mean(np.argmax(logits, axis=-1) == judged.labels))
