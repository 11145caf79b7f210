"""Measures what parts of a network gain, for SparseUpdate's search."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_tinytrain.callbacks import StaticSparse
from keras_tinytrain.costs import layer_costs
from keras_tinytrain.episodes import Dataset, sample_episode
from keras_tinytrain.evaluation.progress import Progress
from keras_tinytrain.evaluation.protocol import Net
from keras_tinytrain.evaluation.records import (
    KEY,
    Records,
    RecordsFile,
    record_key,
)
from keras_tinytrain.methods import PlanLearner
from keras_tinytrain.model import wrap
from keras_tinytrain.scheme_search import RATIOS, Contributions
from keras_tinytrain.sparse_update import Scheme, sparse_update_plan
from keras_tinytrain.training import STEPS

# A scheme to measure: biases of the last k layers, and at most one ratio.
Part = tuple[int, tuple[tuple[int, float], ...]]


def parts_to_measure(layers: int, first: int) -> list[Part]:
    """Lists nothing, then biases and each share of each layer from the last.

    Args:
        layers: Number of layers of the network.
        first: The first layer that may train.
    """
    parts: list[Part] = [(0, ())]
    for index in reversed(range(first, layers)):
        shares = [((index, ratio),) for ratio in RATIOS]
        parts += [(layers - index, ratios) for ratios in ((), *shares)]
    return parts


def measure_contributions(
    path: str | os.PathLike,
    net: keras.Model,
    named: Net,
    dataset: Dataset,
    *,
    first: int,
    tasks: int = 10,
    seed: int = 0,
    way: int | None = None,
    shot: int | None = None,
    steps: int = STEPS,
    progress: Callable[..., Progress] = Progress,
) -> Contributions:
    """Lets each part of a network train alone, on the same tasks.

    The gain of the weights of a layer is measured on top of the biases from
    this layer on. Each result is on the disk before the next, and the same
    call goes on after any interruption.

    Args:
        path: A records file of its own.
        net: A Keras CNN without classifier.
        named: What records call it.
        dataset: Where tasks come from. No dataset that is to be tested on.
        first: The first layer that may train.
        tasks: Number of tasks.
        seed: Seed of the first task.
        way: Classes of a task; None draws them, as Meta-Dataset does.
        shot: Support images of a class; None draws them.
        steps: Training steps.
        progress: Makes what shows how far it is.

    Returns:
        The `Contributions`, differences of mean accuracies over the tasks.

    Raises:
        ValueError: If the file is of another protocol.
        OSError: If another run writes it, or the disk is full.
    """
    costs = layer_costs(wrap(net))
    if not 0 <= first < len(costs):
        raise ValueError(
            f"Expected the number of a layer, 0 to {len(costs) - 1}. "
            f"Received: first={first}"
        )
    protocol = {
        "contributions": costs.fingerprint,
        "way": way,
        "shot": shot,
        "steps": steps,
    }
    parts = parts_to_measure(len(costs), first)
    keys = {
        _key(named, dataset, part, seed, task)
        for part in parts
        for task in range(tasks)
    }
    episodes = _Episodes(dataset, seed=seed, way=way, shot=shot)
    with RecordsFile(path, protocol) as file:
        done = [r for r in file.records.episodes if record_key(r) in keys]
        shown = progress(len(keys), done)
        try:
            for part in parts:
                left = [
                    (task, key)
                    for task in range(tasks)
                    for key in [_key(named, dataset, part, seed, task)]
                    if key not in file
                ]
                if not left:
                    continue
                # A model for each: what it compiles is of no use to others.
                learner = _learner(net, costs.fingerprint, part, steps)
                for task, key in left:
                    support, query = episodes[task]
                    learner.learn(support, seed=seed + task)
                    record = dict(zip(KEY, key))
                    record["accuracy"] = learner.evaluate(query)
                    file.add(record)
                    shown.add(record)
        finally:
            shown.close()
        return _contributions(file.records, keys, parts)


class _Episodes:
    """Support and query sets by number, each drawn once."""

    def __init__(self, dataset: Dataset, *, seed: int, **settings: Any) -> None:
        self._draw = lambda task: sample_episode(
            dataset, seed=seed + task, **settings
        )
        self._drawn: dict[int, tuple] = {}

    def __getitem__(self, task: int) -> tuple:
        if task not in self._drawn:
            episode = self._draw(task)
            self._drawn[task] = episode.support, episode.query
        return self._drawn[task]


def _learner(net, fingerprint: str, part: Part, steps: int) -> PlanLearner:
    model = wrap(net)
    layers = len(model.network.layers)
    scheme = Scheme("part", fingerprint, layers, *part)
    plan = sparse_update_plan(model, scheme)
    return PlanLearner(model, StaticSparse(plan), steps=steps)


def part_name(part: Part) -> str:
    """Names a part, as `"biases=18"` or `"biases=18 24:0.5"`."""
    biases, ratios = part
    return " ".join([f"biases={biases}", *(f"{i}:{r}" for i, r in ratios)])


def _key(named: Net, dataset: Dataset, part: Part, seed: int, task: int):
    place = named.name, named.weights, dataset.name
    return (*place, part_name(part), seed, task)


def _contributions(
    records: Records, keys: set, parts: Sequence[Part]
) -> Contributions:
    """Subtracts mean accuracies."""
    accuracy: dict[str, list[float]] = {}
    for record in records.episodes:
        if record_key(record) in keys:
            found = accuracy.setdefault(record["method"], [])
            found.append(record["accuracy"])
    mean = {name: statistics.fmean(some) for name, some in accuracy.items()}
    biases = {
        k: mean[part_name((k, ()))] - mean[part_name((0, ()))]
        for k, ratios in parts
        if not ratios
    }
    weights = {
        ratios[0]: mean[part_name((k, ratios))] - mean[part_name((k, ()))]
        for k, ratios in parts
        if ratios
    }
    return Contributions(biases, weights)
