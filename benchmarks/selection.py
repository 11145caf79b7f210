"""Compares ways to choose what trains, at three memory budgets.

    python benchmarks/selection.py
    python benchmarks/selection.py --datasets=omniglot,traffic_sign,cub

Rules for layers: `earliest`, the default, and `tinytrain`, the published one.
Scores for channels: Fisher potential, the L2 norm of their weights, and none
(random). Tasks are those of `validation_tasks.py`, which choices are made by,
or 10-way 5-shot ones of datasets, for a report. Each result is added to
`--records` at once, and what is there is not run again.
"""

import itertools
import json
import pathlib

import keras
import numpy as np
from absl import app, flags
from validation_tasks import KINDS, make_task

import keras_tinytrain as ktt
from keras_tinytrain.selection import CRITERIA, first_affordable

SCORES = ["fisher", "l2norm", "random"]

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, ImageNet weights.")
flags.DEFINE_list("kinds", KINDS, "Kinds of validation tasks.")
flags.DEFINE_list("datasets", [], "Datasets, in place of validation tasks.")
flags.DEFINE_integer("tasks", 20, "Tasks of each kind or dataset.")
flags.DEFINE_list("memories", ["0.75MB", "0.89MB", "1.2MB"], "Paper model.")
flags.DEFINE_integer("macs", 6_510_000, "MAC budget.")
flags.DEFINE_list("criteria", list(CRITERIA), "Rules for layers.")
flags.DEFINE_list("scores", SCORES, "What ranks channels.")
flags.DEFINE_string("records", "build/selection.jsonl", "File of results.")


class Choose(keras.callbacks.Callback):
    """Applies a plan by some scores of the channels.

    Args:
        budget: What the plan may cost.
        criterion: Rule for layers.
        score: One of `SCORES`.
        seed: Of the random scores.
    """

    def __init__(self, budget, criterion, score, seed) -> None:
        super().__init__()
        self.budget, self.criterion = budget, criterion
        self.score, self.seed = score, seed

    def on_train_begin(self, logs=None) -> None:
        """Scores, selects and applies the plan."""
        model = self.model
        costs = ktt.layer_costs(model, cost_model="paper")
        first = first_affordable(costs, self.budget, criterion=self.criterion)
        names = [cost.name for cost in costs[first:]]
        if self.score == "fisher":
            scores = ktt.channel_fisher(model, model.support, first=names[0])
        elif self.score == "l2norm":
            kernels = (model.network.layers[n].folded()[0] for n in names)
            norms = (
                np.linalg.norm(k.numpy().reshape(-1, k.shape[-1]), axis=0)
                for k in kernels
            )
            scores = dict(zip(names, norms))
        else:
            rng = np.random.default_rng(self.seed)
            scores = {c.name: rng.random(c.channels) for c in costs[first:]}
        plan = ktt.select(scores, costs, self.budget, criterion=self.criterion)
        ktt.apply_plan(model, plan)


def main(_):
    """Runs what the file lacks, then prints the mean of each cell."""
    path = pathlib.Path(FLAGS.records)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    known = {tuple(key): value for key, value in map(json.loads, lines)}
    model = ktt.wrap(ktt.zoo.build(FLAGS.net))
    sources = FLAGS.datasets or FLAGS.kinds
    cells = list(
        itertools.product(FLAGS.memories, FLAGS.criteria, FLAGS.scores)
    )
    for seed, source in itertools.product(range(FLAGS.tasks), sources):
        keys = [(FLAGS.net, source, seed, FLAGS.macs, *cell) for cell in cells]
        if all(key in known for key in keys):
            continue
        support, query = load_task(source, seed)
        for key in keys:
            if key in known:
                continue
            *_, macs, memory, criterion, score = key
            budget = ktt.Budget(memory=memory, macs=macs)
            chosen = Choose(budget, criterion, score, seed)
            model.fit(support, callbacks=[chosen], verbose=0)
            known[key] = model.evaluate(query, verbose=0)[1]
            with path.open("a") as file:
                file.write(json.dumps([key, known[key]]) + "\n")
    show(known, sources, cells)


def load_task(source: str, seed: int) -> tuple[ktt.Examples, ktt.Examples]:
    """Returns the support and the query set of a task."""
    if not FLAGS.datasets:
        dataset = ktt.datasets.load("mini_imagenet_val")
        return make_task(dataset, source, seed)
    dataset = ktt.datasets.load(source)
    task = ktt.sample_episode(dataset, seed=seed, way=10, shot=5)
    return task.support, task.query


def show(known: dict, sources: list[str], cells: list[tuple]) -> None:
    """Prints accuracy in %, and the mean over sources with its interval."""
    print(f"{'memory':<9}{'layers':<11}{'channels':<10}", end="")
    print(*(f"{source[:12]:>13}" for source in sources), "         mean")
    for cell in cells:
        rows = 100 * np.array(
            [
                [
                    known[(FLAGS.net, source, seed, FLAGS.macs, *cell)]
                    for seed in range(FLAGS.tasks)
                ]
                for source in sources
            ]
        )
        memory, criterion, score = cell
        errors = rows.std(axis=1) / FLAGS.tasks**0.5
        spread = 1.96 * np.linalg.norm(errors) / len(sources)
        print(f"{memory:<9}{criterion:<11}{score:<10}", end="")
        print(*(f"{mean:>13.2f}" for mean in rows.mean(axis=1)), end=" ")
        print(f"{rows.mean():>7.2f} +- {spread:.2f}")


if __name__ == "__main__":
    app.run(main)
