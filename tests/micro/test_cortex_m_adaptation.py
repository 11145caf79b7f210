"""Law 9: Keras, this host, Cortex-M4F and M7 learn the same of real images.

The step rate is one at which MCUNet is no chaos: at more than 1e-3 rounding
decides after three steps.
"""

import dataclasses
import os
import zlib

import adaptation
import arm_board
import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from adaptation import REGION_TOO_SMALL, Task
from arm_board import M4, M7
from devices import boundary
from keras_steps import keras_losses

import keras_tinytrain as ktt
from keras_tinytrain import datasets, published, zoo
from keras_tinytrain.export.blob import read_blob

WAY, SHOT, QUERIES, STEPS, RATE = 3, 2, 4, 10, 5e-4
BUILDS = {M4: "-Os", M7: "-O2"}
# Of 256 KB: the stack, what newlib has, and the program's own objects.
NO_REGIONS = 6 * 1024


@dataclasses.dataclass
class Learned:
    """A model, its blob, and what host and Keras make of a task.

    Attributes:
        model: The wrapped model, as it was.
        blob: What the device has, `Blob`.
        data: Its bytes.
        sizes: Bytes of both regions, as exported.
        task: The task.
        images: Its images, before the first layer.
    """

    model: object
    blob: object
    data: bytes
    sizes: tuple[int, int]
    task: Task
    images: tuple[ktt.Examples, ktt.Examples]

    def host(self, path):
        """Adapts on this machine; returns what the device is to print."""
        engine = ktt.micro.Engine(self.data, *self.sizes, learning_rate=RATE)
        samples, labels = self.task.samples, self.task.labels
        for sample, label in zip(samples, labels):
            engine.observe(sample, label)
        for sample, label in zip(samples, labels):
            engine.score(sample, label)
        channels = engine.select()
        engine.plan(channels)
        losses = []
        for _ in range(STEPS):
            pairs = zip(samples, labels)
            losses.append([engine.accumulate(x, label) for x, label in pairs])
            engine.update()
        engine.settle(samples, labels)
        logits = [engine.predict(query) for query in self.task.queries]
        engine.save(path)
        saved = path.read_bytes()
        return adaptation.Report(
            {name: list(map(int, c)) for name, c in channels.items()},
            np.array(losses, np.float32),
            np.array(logits),
            checkpoint=(len(saved), zlib.crc32(saved)),
        )


def real_images():
    """Returns photos of birds if they are there, and digits otherwise."""
    folder = os.environ.get("KERAS_TINYTRAIN_DATA")
    if folder:
        source = datasets.load("cub")
        sampler = ktt.EpisodeSampler(
            source, way=WAY, shot=SHOT, queries=QUERIES, seed=5
        )
        episode = next(iter(sampler))
        return episode.support, episode.query
    images, labels = sklearn.datasets.load_digits(n_class=WAY, return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).repeat(3, axis=-1) * (255 / 16)
    rows = [np.flatnonzero(labels == c)[: SHOT + QUERIES] for c in range(WAY)]
    parts = []
    for part in (slice(SHOT), slice(SHOT, None)):
        chosen = np.concatenate([r[part] for r in rows])
        large = tf.image.resize(images[chosen], (128, 128)).numpy()
        parts.append(ktt.Examples(large, labels[chosen]))
    return tuple(parts)
