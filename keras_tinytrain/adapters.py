"""Lite residual modules: small branches beside the blocks of a frozen net."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
from keras import layers

from keras_tinytrain.graph import Op, flatten
from keras_tinytrain.inverted_residuals import Block, find_blocks

# What the names of all layers of the modules begin with.
PREFIX = "lite_residual"
# Largest kernel of a module.
KERNEL = 5


def dropped_blocks(blocks: Sequence[Block], drop: float) -> int:
    """Returns how many of the blocks, the first ones, get no module.

    Args:
        blocks: All blocks of a network.
        drop: Their share, at least 0.0 and below 1.0; rounded down.
    """
    return int(len(blocks) * drop)


def add_lite_residuals(
    net: keras.Model, *, drop: float = 0.0, seed: int = 0
) -> keras.Model:
    """Gives the inverted residual blocks of a net lite residual modules.

    A module reads the input of its block and adds to its output: 2x2 average
    pooling, a convolution in two groups with kernels of up to 5x5 and the
    block's strides, ReLU6, a pointwise convolution, and bilinear upsampling.
    As many channels come out of the first convolution as go in. The
    last one starts at zero, so that the new net computes what `net` does.

    The module has biases where TinyTL's has BatchNormalization, whose
    statistics a few images would not give. The groups are two layers.

    Args:
        net: A functional or Sequential model of fixed input size. It stays
            as it is.
        drop: Share of the blocks, counted from the first, that get none.
        seed: Seed of the kernels of the grouped convolutions.

    Returns:
        A functional model with copies of all layers and weights. Layers of
        models inside `net` become its own, under their path. The names of
        the layers of a module start with `PREFIX` and the block's number.

    Raises:
        ValueError: If there is no such block, if there are modules already,
            if the input size is not fixed, or if `drop` is not a share below
            1.0.

    Example:

    >>> model = wrap(add_lite_residuals(keras_tinytrain.zoo.MCUNet()))

    Reference:
        - [TinyTL](https://arxiv.org/abs/2007.11622)
        - [AdapterDrop](https://arxiv.org/abs/2010.11918)
    """
    if not 0.0 <= drop < 1.0:
        raise ValueError(
            "Expected `drop` to be a share, at least 0.0 and below 1.0. "
            f"Received: drop={drop}"
        )
    ops, output = flatten(net)
    blocks = find_blocks(ops)
    _check(net, ops, blocks)
    numbers = {block.last: i for i, block in enumerate(blocks)}
    image = net.inputs[0]
    image = keras.Input(
        batch_shape=image.shape, dtype=image.dtype, name=image.name
    )
    tensors = {0: image}
    for op in ops:
        copy = _copy(op)
        x = dataclasses.replace(op, operation=copy)(tensors)
        if isinstance(copy, layers.Layer):
            copy.set_weights(op.operation.get_weights())
        number = numbers.get(op.name, -1)
        if number >= dropped_blocks(blocks, drop):
            block = blocks[number]
            x = _add_module(
                tensors[block.source],
                x,
                name=f"{PREFIX}{number:02d}",
                strides=block.strides,
                seed=seed + 2 * number,
            )
        tensors[op.output] = x
    return keras.Model(image, tensors[output], name=net.name)


def _add_module(
    x: keras.KerasTensor,
    outputs: keras.KerasTensor,
    *,
    name: str,
    strides: tuple[int, int],
    seed: int,
) -> keras.KerasTensor:
    """Returns the outputs of a block plus those of a module."""
    x = layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
    # A kernel that reaches further from side to side meets padding alone.
    kernel = [min(KERNEL, 2 * size - 1) for size in x.shape[1:3]]
    half = (x.shape[-1] + 1) // 2
    groups = [x[..., :half], x[..., half:]][: x.shape[-1]]
    groups = [
        layers.Conv2D(
            group.shape[-1],
            kernel,
            strides=strides,
            padding="same",
            kernel_initializer=keras.initializers.HeNormal(seed + i),
            name=f"{name}_group{i}",
        )(group)
        for i, group in enumerate(groups)
    ]
    x = groups[0]
    if len(groups) > 1:
        x = layers.Concatenate(name=f"{name}_concat")(groups)
    x = layers.ReLU(6.0, name=f"{name}_relu")(x)
    x = layers.Conv2D(
        outputs.shape[-1], 1, kernel_initializer="zeros", name=f"{name}_project"
    )(x)
    if x.shape[1:3] != outputs.shape[1:3]:
        x = keras.ops.image.resize(
            x,
            outputs.shape[1:3],
            interpolation="bilinear",
            data_format="channels_last",
        )
    return layers.Add(name=f"{name}_add")([outputs, x])


def _copy(op: Op) -> keras.Operation:
    """Builds an operation of the same configuration."""
    config = op.operation.get_config()
    # Names of layers are kept, as plans know them. Those of operations are
    # drawn anew, so that they differ from those of the modules.
    del config["name"]
    if isinstance(op.operation, layers.Layer):
        config["name"] = op.name.replace("/", "_")
    return type(op.operation).from_config(config)


def _check(
    net: keras.Model, ops: Sequence[Op], blocks: Sequence[Block]
) -> None:
    present = [op.name for op in ops if op.name.startswith(PREFIX)]
    if present:
        raise ValueError(
            "Expected a model without lite residual modules. Received: model "
            f"{net.name!r} with layer {present[0]!r}"
        )
    if not blocks:
        raise ValueError(
            "Expected a model with inverted residual blocks: a DepthwiseConv2D "
            "and a 1x1 Conv2D behind it. Received: none in the model "
            f"{net.name!r}, so that there is no place for a lite residual "
            "module. Use a method without them."
        )
    if None in net.input_shape[1:]:
        raise ValueError(
            "Expected a model with a fixed input size. Received: model "
            f"{net.name!r} with input shape {net.input_shape}. Build it with "
            "the image size of the task."
        )
