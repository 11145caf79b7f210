"""Nets, and what a device may have learned of them."""

from __future__ import annotations

import dataclasses

import numpy as np
from checkpoint_library import Device, Slots

import keras_tinytrain as ktt
from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.export.checkpoint_file import Checkpoint

CHANNELS = {"depthwise": [1, 3], "project": [0, 2, 3]}
CHANNELS |= {"last": [1], "dense": [0, 2, 4]}


def learn(model, channels=None, *, seed=1, way=3, **parts):
    """Gives a model a plan and random trained parts."""
    channels = CHANNELS if channels is None else channels
    channels = {name: np.array(c, int) for name, c in channels.items()}
    costs = ktt.layer_costs(model)
    plan = ktt.selection.make_plan(channels, costs, "test", **parts)
    ktt.apply_plan(model, plan)
    rng = np.random.default_rng(seed)
    for layer in model.network.layers.values():
        for variable in (layer.kernel_slice, layer.bias_slice):
            if variable is not None:
                variable.assign(rng.normal(size=variable.shape))
    vectors = rng.normal(size=(way, 5)).astype("float32")
    model.set_class_vectors(vectors if way else None)
    return model


def saved(model, folder):
    """Returns the checkpoint of a model, and its bytes."""
    ktt.save_checkpoint(model, folder / "model.ttck")
    data = (folder / "model.ttck").read_bytes()
    return Checkpoint.from_bytes(data), data


def exported(library, model, folder, **options):
    """Returns the device with a model."""
    data = ktt.export_micro(model, folder, **options).blob.read_bytes()
    return Device(library, data, read_blob(data).layers)


def one(data, size=None):
    """Returns slots of which the first one holds these bytes."""
    size = size or -(-len(data) // 8) * 8
    slots = Slots(np.zeros(2 * size, np.uint8))
    slots.memory[: len(data)] = np.frombuffer(data, np.uint8)
    return slots


def versions(checkpoint):
    """Yields the checkpoint with one number after the other."""
    rng = np.random.default_rng(3)
    for sequence in range(1, 100):
        vectors = rng.normal(size=checkpoint.vectors.shape)
        yield dataclasses.replace(
            checkpoint, vectors=vectors.astype("float32"), sequence=sequence
        )


def changed(data, layer=None, **values):
    """Returns a checkpoint with other values of a record, sealed again.

    Args:
        data: The bytes.
        layer: Which row; the header when None.
        **values: By field of `layout`.
    """
    record = layout.CHECKPOINT if layer is None else layout.TRAINED
    at = 0 if layer is None else 64 + 32 * layer
    fields = record.unpack(data, at) | values
    data = data[:at] + record.pack(**fields) + data[at + record.size :]
    return layout.seal(data)
