"""Runs one episode after another in one process, and keeps what it built."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_tinytrain import datasets, methods, zoo
from keras_tinytrain.episodes import Dataset, Episode, sample_episode
from keras_tinytrain.evaluation.channels import to_text
from keras_tinytrain.evaluation.protocol import Data, Job, Net, Protocol
from keras_tinytrain.evaluation.records import FLOAT32
from keras_tinytrain.evaluation.representative import representative_images
from keras_tinytrain.methods import Learner
from keras_tinytrain.model import unwrap, wrap
from keras_tinytrain.plan import PlanLayer, UpdatePlan
from keras_tinytrain.quantization import quantize
from keras_tinytrain.version import __version__

# What differs from run to run: the rest of a record does not.
TIMES = ("seconds", "selection_seconds", "cold")


def limit_threads() -> None:
    """Keeps TensorFlow to one thread, and to the GPU memory that it needs.

    There is a process per core already. And sums over several threads are
    added in another order: a record would depend on the machine's cores.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)


def load_net(net: Net, image_size: int) -> keras.Model:
    """Builds a net of the zoo, or reads a `.keras` file.

    Raises:
        ValueError: If there is no such net, or images do not fit it.
    """
    # Weights that are drawn, because there are none, are so alike everywhere.
    keras.utils.set_random_seed(0)
    size = (image_size, image_size)
    if not net.source.endswith(".keras"):
        weights = None if net.weights == "none" else net.weights
        return zoo.build(net.source, weights=weights, input_shape=(*size, 3))
    if not pathlib.Path(net.source).is_file():
        raise FileNotFoundError(
            f"Expected the file of a Keras model. Received: {net.source!r}"
        )
    model = keras.saving.load_model(net.source, compile=False)
    if any(n not in (None, m) for n, m in zip(model.input_shape[1:3], size)):
        raise ValueError(
            f"Expected an image_size that net {net.source!r} takes, of input "
            f"shape {model.input_shape}. Received: image_size={image_size}"
        )
    return model


def build_net(net: Net, protocol: Protocol) -> keras.Model:
    """Builds a net in its precision.

    Scales of int8 belong to the net, not to the task: a device has them, with
    its weights, before it sees one of the task's images.

    Raises:
        ValueError: If there is no such net, images do not fit it, or it
            cannot be had in int8.
        OSError: If weights, a file or the representative images are not
            there.
    """
    model = load_net(net, protocol.image_size)
    if net.precision == FLOAT32:
        return model
    images = representative_images(protocol.representative, protocol.image_size)
    return unwrap(quantize(wrap(model), images))


def load_dataset(dataset: Data, image_size: int) -> Dataset:
    """Opens a dataset."""
    return datasets.load(dataset.source, image_size=(image_size, image_size))


class Worker:
    """Turns jobs into records; every net and learner is built once.

    A record says the same whichever worker made it, and after whatever else,
    except for the `TIMES`.

    Args:
        protocol: What all episodes share.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._nets: dict[Net, keras.Model] = {}
        self._learners: dict[tuple[Net, str], Learner] = {}
        self._datasets: dict[Data, Dataset] = {}
        # The methods come one after another, on the same episode.
        self._episode: tuple[Any, Episode | None] = (None, None)
        self._lock = threading.Lock()  # Beam shares a worker among threads.

    def run(self, job: Job) -> dict[str, Any]:
        """Learns and judges one episode; returns its record."""
        with self._lock:
            cold = (job.net, job.method) not in self._learners
            learner, episode = self._learner(job), self._draw(job)
            start = time.perf_counter()
            learner.learn(
                episode.support,
                query_images=episode.query.images,
                seed=job.seed + job.episode,
            )
            seconds = time.perf_counter() - start
            logits = learner.predict(episode.query.images)
        hits = np.argmax(logits, axis=-1) == episode.query.labels
        budget = self.protocol.budget(job.net.name)
        return {
            "net": job.net.name,
            "weights": job.net.weights,
            "precision": job.net.precision,
            "dataset": job.dataset.name,
            "method": job.method,
            "seed": job.seed,
            "episode": job.episode,
            "accuracy": float(hits.mean()),
            "way": len(episode.classes),
            "support": len(episode.support),
            "query": len(episode.query),
            "memory_bytes": int(learner.memory_bytes),
            "macs": int(learner.macs),
            "trained_weights": int(learner.trained_weights),
            "channels": _channels(learner.plan),
            "budget": budget and dataclasses.asdict(budget),
            "library": __version__,
            "seconds": round(seconds, 4),
            "selection_seconds": learner.selection_seconds
            and round(learner.selection_seconds, 4),
            "cold": cold,
        }

    def _learner(self, job: Job) -> Learner:
        key = job.net, job.method
        if job.net not in self._nets:
            self._nets[job.net] = build_net(job.net, self.protocol)
        if key not in self._learners:
            self._learners[key] = methods.build(
                job.method,
                self._nets[job.net],
                budget=self.protocol.budget(job.net.name),
                steps=self.protocol.steps,
            )
        return self._learners[key]

    def _draw(self, job: Job) -> Episode:
        key = job.dataset, job.seed, job.episode
        if job.dataset not in self._datasets:
            self._datasets[job.dataset] = load_dataset(
                job.dataset, self.protocol.image_size
            )
        if self._episode[0] != key:
            episode = sample_episode(
                self._datasets[job.dataset],
                seed=job.seed + job.episode,
                **self.protocol.episode,
            )
            self._episode = key, episode
        return self._episode[1]


def _channels(plan: UpdatePlan | None) -> dict[str, str] | None:
    if plan is None:
        return None
    return {c.name: _layer_text(c) for c in plan.layers}


def _layer_text(layer: PlanLayer) -> str:
    if layer.inputs:
        return to_text(
            layer.input_size, layer.inputs, by_input=True, bias=layer.bias
        )
    return to_text(layer.size, layer.channels, bias=layer.bias)
