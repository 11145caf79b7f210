"""Weights in a small file: float16, or int8 with a scale per channel."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_tinytrain.zoo.npz_files import json_array, read_npz, write_npz

FORMAT = "keras_tinytrain.weights"
VERSION = 1
DTYPES = ("float16", "int8")
# What the key of a kernel's scales ends in.
_SCALE = ":scale"


def save_weights_file(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    dtype: str = "float16",
    about: Mapping[str, object] | None = None,
) -> str:
    """Writes the weights of a model, in half or a quarter of their size.

    With `"int8"` each output channel c of a kernel has a scale,

        kernel[..., c] = stored[..., c] * scale[c],
        scale[c] = max |kernel[..., c]| / 127,

    and what is no kernel stays float32. The same weights give the same bytes.

    Args:
        model: The model. Layers are known by their names.
        path: The file to write; what is there is replaced at once or not.
        dtype: `"float16"` or `"int8"`.
        about: Anything to note in the file that JSON can say.

    Returns:
        The SHA-256 of the file.

    Raises:
        ValueError: If `dtype` is unknown, or a weight is too large for it or
            not finite.
        OSError: If the file cannot be written.

    Example:

    >>> digest = save_weights_file(net, "mcunet.npz", dtype="int8")
    """
    if dtype not in DTYPES:
        raise ValueError(
            f"Expected `dtype` to be one of {DTYPES}. Received: dtype={dtype!r}"
        )
    head = {
        "format": FORMAT,
        "version": VERSION,
        "net": model.name,
        "dtype": dtype,
        "about": dict(about or {}),
    }
    arrays = {"head": json_array(head)}
    for key, weight in _by_path(model).items():
        value = weight.numpy()
        largest = np.abs(value).max(initial=0)
        if not largest <= np.finfo(np.float16).max:
            raise ValueError(
                f"Expected finite weights up to {np.finfo(np.float16).max}. "
                f"Received: {largest} in {key!r}"
            )
        if dtype == "float16":
            arrays[key] = value.astype(np.float16)
        elif value.ndim < 2:
            arrays[key] = value
        else:
            arrays[key], arrays[key + _SCALE] = _quantize(value)
    data = write_npz(path, arrays, compress=True)
    return hashlib.sha256(data).hexdigest()


def load_weights_file(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    sha256: str | None = None,
) -> dict[str, object]:
    """Sets the weights of a model to those of a file.

    A layer called "mix" that the file lacks is left alone.

    Args:
        model: A model of the layers that the file was written from.
        path: What `save_weights_file` wrote.
        sha256: The hash that the file must have. Any when None.

    Returns:
        What `save_weights_file` was told to note.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no such file, has another hash, or its layers are
            not those of the model, which then stays unchanged.
    """
    data = Path(path).read_bytes()
    received = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, received):
        raise ValueError(
            f"Expected '{path}' to have the sha256 {sha256}. Received: "
            f"{received}. The file is damaged; install the package again"
        )
    try:
        arrays, head = read_npz(data, "head")
        kind = head["format"], head["version"]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"Expected '{path}' to be a file of weights. Received: {error}"
        ) from error
    if kind != (FORMAT, VERSION):
        raise ValueError(
            f"Expected '{path}' to have format={FORMAT!r}, version={VERSION}. "
            f"Received: format={kind[0]!r}, version={kind[1]!r}. Use the "
            "version of keras_tinytrain that wrote it"
        )
    _assign(model, arrays, path)
    return head["about"]


def _assign(model: keras.Model, arrays: dict, path: str | os.PathLike) -> None:
    own = _by_path(model)
    for key in set(own) - set(arrays):
        if key.startswith("mix/"):
            del own[key]
    stored = {key for key in arrays if not key.endswith(_SCALE)}
    if own.keys() != stored:
        raise ValueError(
            f"Expected the weights of '{path}' to be those of the model, "
            f"'{model.name}'. Received: only in the file "
            f"{sorted(stored - own.keys())[:4]}, only in the model "
            f"{sorted(own.keys() - stored)[:4]}"
        )
    values = {}
    for key, weight in own.items():
        values[key] = arrays[key].astype(np.float32)
        if key + _SCALE in arrays:
            values[key] *= arrays[key + _SCALE]
        if values[key].shape != tuple(weight.shape):
            raise ValueError(
                f"Expected {key!r} in '{path}' to have the shape "
                f"{tuple(weight.shape)}. Received: {values[key].shape}"
            )
    for key, weight in own.items():
        weight.assign(values[key])


def _by_path(model: keras.Model) -> dict[str, keras.Variable]:
    weights = {weight.path: weight for weight in model.weights}
    if len(weights) != len(model.weights):
        raise ValueError(
            "Expected layers of different names. Received: model "
            f"{model.name!r} with several weights of one path"
        )
    return weights


def _quantize(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns int8 and the scales, of a shape that broadcasts."""
    axes = tuple(range(kernel.ndim - 1))
    if kernel.ndim == 4 and kernel.shape[-1] == 1:
        axes = (0, 1)  # Depthwise: the channels are in front of the last axis.
    scale = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.round(kernel / scale).astype(np.int8), scale
