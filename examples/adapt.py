"""Adapts a small CNN to few-shot tasks and compares ways to train it.

    python examples/adapt.py --net=mcunet --dataset=omniglot --way=10 --shot=5

Every method learns the same tasks, each task from the same weights.
"""

import json
import pathlib
import statistics
import sys
import time

import keras
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.costs import full_train_bytes
from keras_tinytrain.plots import plot_plan
from keras_tinytrain.selection import make_plan

METHODS = ["none", "lastlayer", "full", "tinytrain"]
ROW = "{:<10}{:>16}{:>9}{:>9}{:>10}{:>13}{:>12}{:>9}".format
HEADS = "Accuracy,First s,s/task,Selecting,Bytes,MACs,Weights".split(",")
NOTE = """Accuracy: mean on the query sets, 95 % interval over tasks. Seconds:
first task (which traces), median of the others, scoring and selecting."""

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, or a .keras file.")
flags.DEFINE_enum("weights", "imagenet", ["imagenet", "none"], "Of the zoo.")
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_string("dataset", "omniglot", "A known dataset, or a folder.")
flags.DEFINE_integer("way", 0, "Classes of a task; 0: as Meta-Dataset.")
flags.DEFINE_integer("shot", 0, "Images of a class; 0: as Meta-Dataset.")
flags.DEFINE_integer("tasks", 3, "Number of tasks.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of the first task.", lower_bound=0)
flags.DEFINE_list("methods", METHODS, "Ways to train, comma-separated.")
flags.DEFINE_enum("head", "linear", ["linear", "prototype"], "Classifier.")
flags.DEFINE_integer("steps", 40, "Training steps.", lower_bound=1)
flags.DEFINE_string("memory", "0.89MB", "Memory budget, as 256KB.")
flags.DEFINE_float("macs", 6_510_000, "MAC budget; a share up to 1.0.")
flags.DEFINE_enum("cost_model", "paper", ["paper", "arena"], "Of memory.")
flags.DEFINE_string("figure", "build/adapt.png", "File of the figure.")
flags.DEFINE_bool("json", False, "Print one JSON object as the last line.")


def build_net() -> keras.Model:
    """Loads a file, or builds a net of the zoo."""
    if FLAGS.net.endswith(".keras"):
        return keras.saving.load_model(FLAGS.net, compile=False)
    weights = None if FLAGS.weights == "none" else FLAGS.weights
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    return ktt.zoo.build(FLAGS.net, weights=weights, input_shape=shape)


def build_learner(net: keras.Model, method: str) -> tuple:
    """Returns a wrapped copy of the net, and the callback that plans."""
    model, cost_model = ktt.wrap(net, head=FLAGS.head), FLAGS.cost_model
    if method == "tinytrain":
        budget = ktt.Budget(memory=FLAGS.memory, macs=FLAGS.macs)
        return model, ktt.TaskAdaptiveSparse(budget, cost_model=cost_model)
    costs = ktt.layer_costs(model, cost_model=cost_model)
    plans = {
        "none": make_plan({}, costs, "none"),
        "lastlayer": ktt.last_layer_plan(costs),
        "full": ktt.full_plan(costs),
    }
    return model, ktt.StaticSparse(plans[method])


def adapt(model, callback, task: ktt.Episode, method: str) -> tuple:
    """Learns a task; returns what `summarize` takes of each task."""
    steps, views = (0, 0) if method == "none" else (FLAGS.steps, 4)
    times = [time.perf_counter()]
    planned = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: times.append(time.perf_counter())
    )
    options = {"steps_per_epoch": steps, "views": views, "verbose": 0}
    model.fit(task.support, callbacks=[callback, planned], **options)
    seconds = time.perf_counter() - times[0]
    selecting = times[1] - times[0] if method == "tinytrain" else 0.0
    accuracy = model.evaluate(task.query, verbose=0)[1]
    memory = model.plan.memory_bytes
    if (method, FLAGS.cost_model) == ("full", "paper"):
        memory = full_train_bytes(model)  # At a batch of 100.
    return accuracy, seconds, selecting, memory, model.plan


def summarize(runs: list[tuple]) -> dict[str, float]:
    """Returns mean accuracy, median seconds and the largest costs."""
    accuracy, seconds, selecting, memory, plans = zip(*runs)
    return {
        "accuracy": statistics.fmean(accuracy),
        # TensorFlow traces and compiles in the first task.
        "seconds": statistics.median(seconds[1:] or seconds),
        "selection_seconds": statistics.median(selecting[1:] or selecting),
        "memory_bytes": max(memory),
        "macs": max(plan.macs for plan in plans),
        "trained_weights": max(plan.trained_weights for plan in plans),
    }


def row(method: str, runs: list[tuple]) -> str:
    """Returns the line of a method in the table."""
    mean, seconds, selecting, *costs = summarize(runs).values()
    accuracy = f"{100 * mean:.1f} %"
    if len(runs) > 1:
        spread = statistics.stdev(accuracy for accuracy, *_ in runs)
        accuracy += f" +- {196 * spread / len(runs) ** 0.5:.1f}"
    times = (f"{x:.3f}" for x in (runs[0][1], seconds, selecting))
    return ROW(method, accuracy, *times, *(f"{x:,}" for x in costs))


def main(argv: list[str]) -> None:
    """Adapts to all tasks, prints the table and saves the figure."""
    if argv[1:] or not set() < set(FLAGS.methods) <= set(METHODS):
        received = f"Received: {argv[1:]}, methods={FLAGS.methods}"
        raise ValueError(f"Expected flags, methods of {METHODS}. {received}")
    size = (FLAGS.image_size, FLAGS.image_size)
    dataset = ktt.datasets.load(FLAGS.dataset, image_size=size)
    net = build_net()
    learners = {name: build_learner(net, name) for name in FLAGS.methods}
    runs = {name: [] for name in learners}
    way, shot = FLAGS.way or None, FLAGS.shot or None
    for seed in range(FLAGS.seed, FLAGS.seed + FLAGS.tasks):
        task = ktt.sample_episode(dataset, seed=seed, way=way, shot=shot)
        size = f"{task.support.way} classes, {len(task.support)} images"
        print(f"Task of seed {seed}: {size}")
        for name, learner in learners.items():
            runs[name].append(adapt(*learner, task, name))
    title = f"{net.name} on {dataset.name}"
    print(f"\n{title}, {FLAGS.cost_model} cost model")
    rows = [row(name, runs[name]) for name in runs]
    print(ROW("Method", *HEADS), *rows, NOTE, sep="\n")
    shown = "tinytrain" if "tinytrain" in runs else FLAGS.methods[-1]
    pathlib.Path(FLAGS.figure).parent.mkdir(parents=True, exist_ok=True)
    plans = [plan for *_, plan in runs[shown]]
    plot_plan(plans, title=f"{shown}, {title}", path=FLAGS.figure)
    print(f"Figure of what {shown} trains: {FLAGS.figure}")
    if FLAGS.json:
        result = {"net": FLAGS.net, "dataset": FLAGS.dataset}
        result["methods"] = {name: summarize(runs[name]) for name in runs}
        print(json.dumps(result))


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"adapt.py: {error}")
