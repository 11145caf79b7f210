"""Measures what the int8 prefix of a `model.tflite` costs in accuracy.

    python benchmarks/prefix_accuracy.py --out=FILE
    (ulimit -t 1200; python benchmarks/prefix_accuracy.py --out=FILE)

Each task is learned twice from the same images, views and budget: by the float
model, and by the model with an int8 prefix that `export_micro` would put into
`model.tflite`, its scales from the support images, never from a query. Each
selects by its own scores. Prints the mean accuracy of both for each dataset,
and the difference task by task with its 95 % interval.

FILE has a line for each adaptation, in the format of `evaluate`. The same
command goes on where a run was broken; episodes come dataset by dataset, so
that a run may be broken anywhere.
"""

import gc

import numpy as np
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain import published
from keras_tinytrain.evaluation.records import (
    RecordsFile,
    read_records,
    record_key,
)
from keras_tinytrain.evaluation.worker import limit_threads
from keras_tinytrain.selection import first_affordable

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, ImageNet weights.")
flags.DEFINE_list(
    "datasets",
    ["traffic_sign", "omniglot", "flower", "cub", "quickdraw"],
    "Datasets.",
)
flags.DEFINE_integer("episodes", 20, "Most tasks of each dataset.")
flags.DEFINE_integer("way", 5, "Classes of a task.")
flags.DEFINE_integer("shot", 5, "Images of a class to learn from.")
flags.DEFINE_integer("query", 15, "Images of a class to judge by.")
flags.DEFINE_integer("steps", 40, "Steps.")
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_string("memory", "256KB", "Memory budget of the tail.")
flags.DEFINE_string("out", None, "JSON Lines file.", required=True)

FLOAT, INT8 = "float32 prefix", "int8 prefix"
ROW = "{:<14}{:>7}{:>11}{:>8}{:>12}{:>8}".format


def learn(model, task, costs, budget):
    """Selects and learns; returns the accuracy."""
    plan = ktt.select(ktt.channel_fisher(model, task.support), costs, budget)
    model.fit(
        task.support,
        callbacks=[ktt.StaticSparse(plan)],
        steps_per_epoch=FLAGS.steps,
        verbose=0,
    )
    found = model.predict(task.query.images).argmax(-1)
    return float(np.mean(found == task.query.labels))


def adapt(file, dataset, episode, model, first, budget):
    """Learns a task in both ways, unless it is in the file."""
    task, costs = None, None
    for method in (FLOAT, INT8):
        record = {
            "net": FLAGS.net,
            "weights": "imagenet",
            "dataset": dataset.name,
            "method": method,
            "seed": 0,
            "episode": episode,
        }
        if record_key(record) in file:
            continue
        if task is None:
            task = ktt.sample_episode(
                dataset,
                seed=episode,
                way=FLAGS.way,
                shot=FLAGS.shot,
                query=FLAGS.query,
            )
            costs = ktt.layer_costs(model, way=FLAGS.way, first=first)
        learner = model
        if method == INT8:
            learner = ktt.quantization.quantize_prefix(
                model, task.support, first
            )
        file.add(record | {"accuracy": learn(learner, task, costs, budget)})


def report(path):
    """Prints a line for each dataset, and for all."""
    found = {}
    for record in read_records(path).episodes:
        key = record["dataset"], record["episode"]
        found.setdefault(key, {})[record["method"]] = record["accuracy"]
    pairs = {
        key: (both[FLOAT], both[INT8])
        for key, both in found.items()
        if len(both) == 2
    }
    print(ROW("dataset", "tasks", "float32", "int8", "difference", "+-"))
    means, variances = [], []
    for name in dict.fromkeys(dataset for dataset, _ in pairs):
        rows = 100 * np.array([v for k, v in pairs.items() if k[0] == name])
        change = rows[:, 1] - rows[:, 0]
        means.append([*rows.mean(0), change.mean()])
        variances.append(change.var() / max(len(rows) - 1, 1))
        show(name, len(rows), means[-1], variances[-1])
    if means:
        # Of the mean of the datasets, however many tasks each has.
        variance = np.sum(variances) / len(means) ** 2
        show("mean", len(pairs), np.mean(means, 0), variance)


def show(name, tasks, means, variance):
    """Prints a line."""
    numbers = [f"{number:.2f}" for number in (*means, 1.96 * variance**0.5)]
    print(ROW(name, tasks, *numbers))


def main(_):
    """Learns what is missing, and reports all."""
    limit_threads()
    size = FLAGS.image_size, FLAGS.image_size
    net = ktt.zoo.build(FLAGS.net, input_shape=(*size, 3))
    model = ktt.wrap(net)
    macs = published.costs(FLAGS.net, "tinytrain")[1]
    budget = ktt.Budget(memory=FLAGS.memory, macs=macs)
    first = first_affordable(
        ktt.layer_costs(model, way=FLAGS.way), budget, criterion="earliest"
    )
    first = [cost.name for cost in ktt.layer_costs(model)][first]
    names = "way", "shot", "query", "steps", "image_size", "memory"
    protocol = {name: getattr(FLAGS, name) for name in names}
    protocol |= {"macs": macs, "first": first}
    datasets = [ktt.datasets.load(n, image_size=size) for n in FLAGS.datasets]
    with RecordsFile(FLAGS.out, protocol) as file:
        for episode in range(FLAGS.episodes):
            for dataset in datasets:
                adapt(file, dataset, episode, model, first, budget)
                gc.collect()  # Compiled models hold each other.
    report(FLAGS.out)


if __name__ == "__main__":
    app.run(main)
