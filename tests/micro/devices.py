"""A Keras model and the same on a device, with the inputs of both."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from engine_library import ADAM, Engine
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import Blob, read_blob
from keras_tinytrain.export.contents import plan_flags
from keras_tinytrain.export.micro import MicroExport
from keras_tinytrain.heads import prototypes
from keras_tinytrain.quantization.tflite import stored_input
from keras_tinytrain.selection import make_plan
from keras_tinytrain.training import VECTOR_LENGTH


@dataclasses.dataclass
class Device:
    """An engine with the blob of a model that has a plan.

    Attributes:
        model: The wrapped model.
        result: What `export_micro` returned.
        blob: What was exported.
        data: Its bytes.
        engine: The engine, not yet initialised.
        channels: Trained channels, or inputs, of each layer of the blob.
        kinds: Which of both, and whether all biases; None of channels alone.
    """

    model: object
    result: MicroExport
    blob: Blob
    data: bytes
    engine: Engine
    channels: list[list[int]]
    kinds: np.ndarray | None

    @property
    def names(self):
        return [layer["name"] for layer in self.blob.layers]

    @property
    def counts(self):
        return [len(c) for c in self.channels]

    @property
    def shape(self):
        """Shape of a sample."""
        tensor = self.blob.tensors[0]
        return tuple(tensor[side] for side in ("height", "width", "channels"))

    def start(self, **rates):
        """Initialises the engine in exactly what it needs, and plans."""
        sizes = self.engine.training_bytes(self.counts, self.kinds)
        assert self.engine.init(*sizes, **rates) == 0
        planned = self.engine.plan(self.channels, self.kinds)
        assert planned == 0, self.engine.numbers
        return sizes

    def observe(self, samples, labels):
        for sample, label in zip(samples, labels):
            assert self.engine.observe(sample, label) == 0

    def settle(self, samples, labels):
        for sample, label in zip(samples, labels):
            assert self.engine.revisit(sample, label) == 0
        assert self.engine.settle() == 0


def random_channels(rng, costs, share=0.5):
    """Draws channels of some layers, at least of one."""
    chosen = [c for c in costs if rng.random() < share]
    chosen = chosen or [costs[int(rng.integers(len(costs)))]]
    return {
        c.name: np.sort(
            rng.permutation(c.channels)[: rng.integers(1, c.channels + 1)]
        )
        for c in chosen
    }


def random_parts(rng, costs):
    """Draws layers that train inputs, layers that train all biases."""
    inputs = {
        c.name: np.sort(
            rng.permutation(c.inputs)[: rng.integers(1, c.inputs + 1)]
        )
        for c in costs
        if c.inputs and rng.random() < 0.5
    }
    biases = [c.name for c in costs if c.biases and rng.random() < 0.5]
    return {"inputs": inputs, "biases": biases}


def make_device(
    library,
    model,
    channels,
    folder,
    *,
    way=3,
    optimizer=ADAM,
    parts=None,
    **options,
):
    """Plans `{layer: channels}`, exports and opens the blob."""
    costs = ktt.layer_costs(model)
    parts = parts or {}
    plan = make_plan(channels, costs, "test", **parts)
    ktt.apply_plan(model, plan)
    chosen = {
        layer.name: layer.inputs or layer.channels for layer in plan.layers
    }
    flags = {layer.name: plan_flags(layer) for layer in plan.layers}
    result = ktt.export_micro(model, folder, max_way=max(way, 2), **options)
    data = result.blob.read_bytes()
    blob = read_blob(data)
    rows = [
        [int(c) for c in chosen.get(layer["name"], ())] for layer in blob.layers
    ]
    engine = Engine(library, data, way, optimizer)
    kinds = np.array([flags.get(c["name"], 0) for c in blob.layers], np.uint8)
    kinds = kinds if kinds.any() else None
    return Device(model, result, blob, data, engine, rows, kinds)


def boundary(device, images):
    """Computes with Keras what the device takes as samples."""
    network, first = device.model.network, device.blob.tensors[0]
    if not device.blob.network["cut"]:
        if first["type"]:
            return stored_input(device.model, images)
        return np.asarray(images, np.float32)
    names = [op.name for op in network.ops]
    stop = names.index(device.blob.network["cut"]) + 1
    following = network.ops[stop].operation
    if isinstance(following, (layers.ReLU, layers.Activation)):
        stop += 1  # It has become part of the operation before.
    tensors = {0: keras.ops.convert_to_tensor(images)}
    for op in network.ops[:stop]:
        tensors[op.output] = op(tensors)
    samples = tensors[network.ops[stop - 1].output].numpy()
    if first["type"]:
        return (samples + first["zero_point"]).astype(np.int8)
    return samples


def class_vectors(model, images, labels, way):
    """Returns where Keras starts the class vectors of a linear head."""
    window = model.training_window()
    embeddings = window.embed(
        window.prefix(images), window.pack(), window.channels()
    )
    means = prototypes(embeddings, tf.constant(labels, tf.int32), way)
    return VECTOR_LENGTH * tf.math.l2_normalize(means, axis=-1)


def device_order(model, vector):
    """Lays the vector of a window out as slices lie on a device."""
    window, parts, start = model.training_window(), [], 0
    vector = np.asarray(vector)
    for layer in window.layers.values():
        by_input = len(layer.inputs) > 0
        count = len(layer.inputs if by_input else layer.channels)
        shape = layer.slice_shape(count, by_input)
        size = int(np.prod(shape))
        kernel = vector[start : start + size].reshape(shape)
        start += size
        bias = vector[start : start + layer.use_bias * len(layer.biased)]
        start += len(bias)
        parts += [np.moveaxis(kernel, -1, 0).ravel(), bias]
    return np.concatenate([*parts, []])
