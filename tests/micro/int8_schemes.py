"""Published int8 nets with schemes of sparse update, on host and board."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import adaptation
import numpy as np
from engine_library import IN_PLACE, IN_WORK, OK, Engine

import keras_tinytrain as ktt
from keras_tinytrain import quantization
from keras_tinytrain.export.blob import Blob, read_blob
from keras_tinytrain.export.contents import plan_flags
from keras_tinytrain.quantization.tflite import stored_input
from keras_tinytrain.sparse_update import find_scheme, sparse_update_plan

# About 100 KB on top of inference, as their authors count.
SCHEMES = {"mcunet": "99kb", "mobilenet_v2": "99kb", "proxyless_nas": "98kb"}


@dataclasses.dataclass
class Scheme:
    """A whole net from pixels that trains a scheme, step by step in place.

    Attributes:
        model: The wrapped int8 model.
        data: Its blob.
        blob: What that says.
        channels: Channels or inputs that train, by row of the blob.
        kinds: The flags of each.
    """

    model: object
    data: bytes
    blob: Blob
    channels: list[list[int]]
    kinds: np.ndarray

    @property
    def counts(self):
        return [len(c) for c in self.channels]

    def engine(self, library, classes: int) -> Engine:
        return Engine(library, self.data, classes, IN_PLACE + IN_WORK)

    def sizes(self, library, classes: int) -> tuple[int, int]:
        """Returns bytes of `persistent` and `work`, the sample included."""
        engine = self.engine(library, classes)
        return engine.training_bytes(self.counts, self.kinds)

    def on_host(self, library, task, *, steps, rate):
        """Adapts on this machine; returns losses and logits."""
        engine = self.engine(library, task.way)
        sizes = engine.training_bytes(self.counts, self.kinds)
        assert engine.init(*sizes, rate=rate) == OK
        assert engine.plan(self.channels, self.kinds) == OK
        pairs = list(zip(task.samples, task.labels))
        for sample, label in pairs:
            assert engine.observe(sample, label) == OK
        losses = []
        for _ in range(steps):
            losses.append([engine.accumulate(*pair)[1] for pair in pairs])
            assert engine.update() == OK
        if self.model.head == "prototype":
            for sample, label in pairs:
                assert engine.revisit(sample, label) == OK
            assert engine.settle() == OK
        logits = [engine.predict(query)[2] for query in task.queries]
        return np.array(losses, np.float32), np.array(logits)

    def on_board(self, board, folder, case: Path, sizes, task, **options):
        """Adapts on an emulated board; returns what it prints."""
        steps, rate = options.pop("steps"), options.pop("rate")
        task.write(
            *(case, self.data),
            steps=steps,
            rate=rate,
            optimizer=IN_PLACE,
            in_work=True,
        )
        program = adaptation.build(board, folder, case, sizes, "-O2", **options)
        return adaptation.run(board, program)


def export(name, scheme, folder, *, head="prototype", way=10) -> Scheme:
    """Exports a net of the zoo with its published integers."""
    model = ktt.wrap(quantization.imagenet(name), head=head)
    found = find_scheme(ktt.layer_costs(model), scheme)
    plan = sparse_update_plan(model, found)
    ktt.apply_plan(model, plan)
    result = ktt.export_micro(model, folder, max_way=way, from_pixels=True)
    data = result.blob.read_bytes()
    blob = read_blob(data)
    layers = {layer.name: layer for layer in plan.layers}
    chosen = [layers.get(layer["name"]) for layer in blob.layers]
    channels = [list(c.inputs or c.channels) if c else [] for c in chosen]
    kinds = [plan_flags(c) if c else 0 for c in chosen]
    return Scheme(model, data, blob, channels, np.array(kinds, np.uint8))


def flowers(scheme, *, way, shot, query) -> adaptation.Task:
    """Returns a task of photographs as the blob takes them."""
    images = ktt.datasets.load("flowers", image_size=(128, 128))
    episode = ktt.sample_episode(
        images, seed=0, way=way, shot=shot, query=query
    )
    parts = []
    for part in (episode.support, episode.query):
        pixels = part.images.astype("float32")
        parts += [stored_input(scheme.model, pixels), part.labels]
    return adaptation.Task(*parts)
