"""What is trained of a layer, and how it lies over the layer's own weights."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf


class Slice(NamedTuple):
    """What is trained of a layer, in place of the layer's own.

    Attributes:
        chosen: `(k,)` int32, the channels whose kernel is replaced. k may be
            dynamic.
        kernel: Their kernel: `(..., k)`, or `(..., k, size)` of inputs.
        biased: `(b,)` int32, the channels whose bias is replaced.
        bias: `(b,)`, their biases.
        by_input: Whether `chosen` are input channels. This is static: it
            decides what is compiled.
    """

    chosen: tf.Tensor
    kernel: tf.Tensor
    biased: tf.Tensor
    bias: tf.Tensor
    by_input: bool = False


def take(values: tf.Tensor, channels: tf.Tensor | None) -> tf.Tensor:
    """Picks channels of the last axis; all of them for None."""
    return values if channels is None else tf.gather(values, channels, axis=-1)


def overlay(
    base: tf.Tensor, chosen: tf.Tensor, values: tf.Tensor, axis: int = -1
) -> tf.Tensor:
    """Replaces channels of one axis of `base`.

    Args:
        base: The whole, of static shape.
        chosen: `(k,)` int32, distinct indices. k may be dynamic.
        values: What takes their place.
        axis: The axis, counted from the end.
    """
    size = base.shape[axis]

    def replaced():
        source = tf.tensor_scatter_nd_update(
            tf.range(size),
            chosen[:, None],
            size + tf.range(tf.size(chosen)),
        )
        both = tf.concat([base, values], axis=axis)
        return tf.gather(both, source, axis=axis)

    # Most layers of a plan train nothing, and their kernels are large.
    full = tf.cond(tf.size(chosen) > 0, replaced, lambda: base)
    return tf.ensure_shape(full, base.shape)


def replace_weight(
    layer: keras.layers.Layer,
    name: str,
    values: tf.Tensor | np.ndarray | None,
    *,
    trainable: bool = True,
) -> None:
    """Gives a built layer a new variable as attribute `name`, or None.

    Args:
        layer: The layer.
        name: Name of the attribute, which exists.
        values: Initial values. None or without any is no variable.
        trainable: Whether the variable trains.
    """
    old = getattr(layer, name)
    locked = layer._tracker.locked
    layer._tracker.unlock()  # As Keras' own `enable_lora` does.
    if old is not None:
        layer._untrack_variable(old)
    new = None
    if values is not None and np.size(values):
        new = layer.add_weight(
            name=name,
            shape=values.shape,
            trainable=trainable,
            initializer=lambda shape, dtype: tf.constant(values, dtype),
        )
    setattr(layer, name, new)
    if locked:
        layer._tracker.lock()
