"""Measures what parts of a network gain, for SparseUpdate's search."""

from __future__ import annotations

import contextlib
import hashlib
import os
import statistics
from collections.abc import Callable, Mapping, Sequence

import keras

from keras_tinytrain.budget import LayerCosts
from keras_tinytrain.callbacks import StaticSparse
from keras_tinytrain.costs import layer_costs
from keras_tinytrain.evaluation.progress import Progress
from keras_tinytrain.evaluation.records import (
    FLOAT32,
    KEY,
    RecordsFile,
    record_key,
)
from keras_tinytrain.examples import Examples
from keras_tinytrain.methods import PlanLearner
from keras_tinytrain.model import wrap
from keras_tinytrain.scheme_search import Contributions
from keras_tinytrain.sparse_update import (
    Scheme,
    sparse_update_plan,
    trained_count,
)
from keras_tinytrain.training import STEPS

# The ratios of the published analysis.
RATIOS = (0.125, 0.25, 0.5, 1.0)

# Support and query set of the task with a seed.
Draw = Callable[[int], tuple[Examples, Examples]]


def measure_contributions(
    path: str | os.PathLike,
    net: keras.Model,
    draw: Draw,
    *,
    source: str,
    layers: Sequence[int] | None = None,
    ratios: Sequence[float] = RATIOS,
    tasks: int = 30,
    seed: int = 0,
    steps: int = STEPS,
) -> Contributions:
    """Lets each part of a network train alone, all on the same tasks.

    These are the biases from each layer on, and each ratio of the layer's
    weights on top of them. A line of JSON for each part and task is on the
    disk before the next begins, and the same call goes on after any
    interruption. A file may hold several nets, sources and settings.

    Args:
        path: A records file of its own.
        net: A Keras CNN without classifier. Records know it by its name and
            a hash of its weights.
        draw: Returns support and query set of the task with a seed. Tasks to
            choose by, none that results are to be reported on.
        source: What records call the place where tasks come from, with all
            that tells these tasks from others.
        layers: Numbers of the layers to measure, from 0; the later half of
            all when None.
        ratios: Shares of a layer's weights.
        tasks: Number of tasks. Of 8, a gain is known to about a point.
        seed: Seed of the first task; task i has `seed + i`.
        steps: Training steps.

    Returns:
        The `Contributions`, differences of mean accuracies over the tasks.

    Raises:
        ValueError: If a layer or a ratio is none, there is no task, or the
            file is of other training steps.
        OSError: If another run writes the file, or the disk is full.

    Example:

    >>> def draw(seed):
    ...     task = ktt.sample_episode(dataset, seed=seed, way=10, shot=5)
    ...     return task.support, task.query
    >>> contributions = measure_contributions(
    ...     "build/contributions.jsonl", net, draw, source="own images"
    ... )

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472), section 2.2. There it
          is one task with many images; here a part trains as
          `"sparseupdate"` does, on few-shot tasks.
    """
    if tasks < 1:
        raise ValueError(
            f"Expected a number of tasks from 1. Received: tasks={tasks}"
        )
    costs = layer_costs(wrap(net))
    if layers is None:
        layers = range(len(costs) // 2, len(costs))
    groups = parts_to_measure(costs, layers, ratios)
    place = net.name, _digest(net), FLOAT32, source

    def key(part: Scheme, task: int) -> tuple:
        return *place, part.name, seed, task

    wanted = [
        key(part, task)
        for group in groups
        for part in group
        for task in range(tasks)
    ]
    protocol = {"measures": "contributions", "steps": steps}
    with RecordsFile(path, protocol) as file:
        accuracy = {
            record_key(record): record["accuracy"]
            for record in file.records.episodes
        }
        done = [accuracy[k] for k in wanted if k in accuracy]
        progress = Progress(len(wanted), map(_shown, done))
        with contextlib.closing(progress):
            for group in groups:
                # What is compiled for a layer serves all parts of a group.
                model = None
                for part in group:
                    keys = [key(part, task) for task in range(tasks)]
                    left = [k for k in keys if k not in accuracy]
                    for k in left:
                        model = model or wrap(net)
                        number = seed + k[-1]
                        value = _measure(model, part, draw, number, steps)
                        file.add(dict(zip(KEY, k)) | {"accuracy": value})
                        accuracy[k] = value
                        progress.add(_shown(value))
                    if left:
                        mean = statistics.fmean(accuracy[k] for k in keys)
                        progress.note(f"{part.name}: {mean:.1%}")
    means = {
        part.name: statistics.fmean(
            accuracy[key(part, task)] for task in range(tasks)
        )
        for group in groups
        for part in group
    }
    return _gains(groups, means)


def parts_to_measure(
    costs: LayerCosts, layers: Sequence[int], ratios: Sequence[float]
) -> list[list[Scheme]]:
    """Lists nothing, then by layer, from the last: biases, then each ratio.

    Args:
        costs: Costs of all layers.
        layers: Numbers of the layers.
        ratios: Shares of a layer's weights. One that is no whole channel of
            a layer is left out.

    Raises:
        ValueError: If a layer or a ratio is none.
    """
    if not layers or not all(0 <= index < len(costs) for index in layers):
        raise ValueError(
            f"Expected numbers of layers, 0 to {len(costs) - 1}. Received: "
            f"layers={list(layers)}"
        )
    if not all(0.0 < ratio <= 1.0 for ratio in ratios):
        raise ValueError(
            "Expected ratios above 0.0, to 1.0. Received: "
            f"ratios={list(ratios)}"
        )

    def part(biases: int, ratios: Mapping[int, float]) -> Scheme:
        shown = [f"biases={biases}", *(f"{i}:{r}" for i, r in ratios.items())]
        identity = " ".join(shown), costs.fingerprint, len(costs)
        return Scheme(*identity, biases, ratios)

    groups = [[part(0, {})]]
    for index in sorted({int(index) for index in layers}, reverse=True):
        biases = len(costs) - index
        groups.append([part(biases, {})])
        # The largest first: a trainer that holds it holds the others too.
        for ratio in sorted(set(ratios), reverse=True):
            if trained_count(costs[index], ratio):
                groups[-1].append(part(biases, {index: ratio}))
    return groups


def _measure(model, part: Scheme, draw: Draw, seed: int, steps: int) -> float:
    """Trains a part on a task; returns the accuracy."""
    planner = StaticSparse(sparse_update_plan(model, part))
    learner = PlanLearner(model, planner, steps=steps)
    support, query = draw(seed)
    learner.learn(support, seed=seed)
    return learner.evaluate(query)


def _gains(groups, means: Mapping[str, float]) -> Contributions:
    """Subtracts mean accuracies."""
    none, *groups = groups
    biases, weights = {}, {}
    for base, *parts in groups:
        biases[base.biases] = means[base.name] - means[none[0].name]
        for part in parts:
            weights[part.ratios[0]] = means[part.name] - means[base.name]
    return Contributions(biases, weights)


def _shown(accuracy: float) -> dict:
    """Returns what `Progress` takes; a line has no room for every part."""
    return {"method": "accuracy", "accuracy": accuracy}


def _digest(net: keras.Model) -> str:
    """Identifies weights."""
    found = hashlib.sha256()
    for weight in net.get_weights():
        found.update(weight.tobytes())
    return f"sha256:{found.hexdigest()[:12]}"
