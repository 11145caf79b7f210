"""Compares ways to train over many tasks; one JSON line a task, resumable.

    python benchmarks/accuracy.py --records=docs/results/accuracy.jsonl

Run it again to go on after an interruption, or to print the table.
"""

import json
import pathlib
import statistics
import time

import numpy as np
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.selection import make_plan

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, ImageNet weights.")
flags.DEFINE_list("datasets", "omniglot,traffic_sign,cub", "Datasets.")
flags.DEFINE_list(
    "methods",
    "none,lastlayer,tinytrain,full,full-prototype",
    "Methods; `-prototype` puts the PMF head in place of the linear one.",
)
flags.DEFINE_integer("tasks", 20, "Tasks of each dataset.")
flags.DEFINE_integer("way", 10, "Classes of a task; 0: as Meta-Dataset.")
flags.DEFINE_integer("shot", 5, "Images of a class; 0: as Meta-Dataset.")
flags.DEFINE_string("memory", "0.89MB", "Memory budget, paper model.")
flags.DEFINE_integer("macs", 6_510_000, "MAC budget.")
flags.DEFINE_string("records", "build/accuracy.jsonl", "File of records.")


def learner(net, method):
    """Returns a wrapped net and the callback that makes its plan."""
    name, _, head = method.partition("-")
    model = ktt.wrap(net, head=head or "linear")
    costs = ktt.layer_costs(model, cost_model="paper")
    if name == "tinytrain":
        budget = ktt.Budget(memory=FLAGS.memory, macs=FLAGS.macs)
        return model, ktt.TaskAdaptiveSparse(budget, cost_model="paper")
    plan = {
        "none": make_plan({}, costs, "none"),
        "lastlayer": ktt.last_layer_plan(costs),
        "full": ktt.full_plan(costs),
    }[name]
    return model, ktt.StaticSparse(plan)


def run(path: pathlib.Path) -> None:
    """Adds the tasks that the file lacks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {key(record) for record in read(path)}
    net = ktt.zoo.build(FLAGS.net)
    for method in FLAGS.methods:
        model, callback = learner(net, method)
        for name in FLAGS.datasets:
            dataset = ktt.datasets.load(name)
            for seed in range(FLAGS.tasks):
                record = {
                    "net": FLAGS.net,
                    "dataset": name,
                    "method": method,
                    "way": FLAGS.way,
                    "shot": FLAGS.shot,
                    "seed": seed,
                }
                if key(record) in done:
                    continue
                task = ktt.sample_episode(
                    dataset,
                    seed=seed,
                    way=FLAGS.way or None,
                    shot=FLAGS.shot or None,
                )
                steps = 0 if method == "none" else 40
                start = time.perf_counter()
                model.fit(
                    task.support,
                    steps_per_epoch=steps,
                    callbacks=[callback],
                    verbose=0,
                )
                record["seconds"] = time.perf_counter() - start
                _, record["accuracy"] = model.evaluate(task.query, verbose=0)
                with path.open("a") as file:
                    file.write(json.dumps(record) + "\n")


def key(record: dict) -> tuple:
    """Returns what tells a task from all others."""
    fields = ("net", "dataset", "method", "way", "shot", "seed")
    return tuple(record[field] for field in fields)


def read(path: pathlib.Path) -> list[dict]:
    """Reads all records that are whole."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def report(records: list[dict]) -> None:
    """Prints mean accuracy, its 95 % interval and the median seconds."""
    print(f"{'dataset':<14}{'method':<22}{'accuracy':>16}{'s/task':>9}{'n':>5}")
    groups: dict[tuple, list] = {}
    for record in records:
        place = record["net"], record["way"], record["shot"]
        if place == (FLAGS.net, FLAGS.way, FLAGS.shot):
            groups.setdefault((record["dataset"], record["method"]), []).append(
                record
            )
    for (dataset, method), group in sorted(groups.items()):
        values = 100 * np.array([record["accuracy"] for record in group])
        interval = 1.96 * values.std() / np.sqrt(len(values))
        seconds = statistics.median(record["seconds"] for record in group)
        print(
            f"{dataset:<14}{method:<22}{values.mean():>8.2f} +-{interval:>5.2f}"
            f"{seconds:>9.2f}{len(group):>5}"
        )


def main(_):
    """Runs what is missing and prints the table."""
    path = pathlib.Path(FLAGS.records)
    run(path)
    report(read(path))


if __name__ == "__main__":
    app.run(main)
