"""Adapts a small CNN to few-shot tasks and compares ways to train it.

python examples/adapt.py --net=mcunet --dataset=omniglot --way=10 --shot=5
"""

import json
import pathlib
import statistics
import sys
import time

import keras
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.plots import plot_plan

METHODS = ["none", "lastlayer", "full", "tinytrain"]
ROW = "{:<14}{:>16}{:>9}{:>9}{:>10}{:>13}{:>12}{:>9}".format
HEADS = "Accuracy,First s,s/task,Selecting,Bytes,MACs,Weights".split(",")
NOTE = """Accuracy: mean on the query sets, 95 % interval over tasks. Seconds:
first task (which traces), median of the others, scoring and selecting."""

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, or a .keras file.")
flags.DEFINE_enum(
    "weights", "imagenet", ["imagenet", "meta", "none"], "Of the zoo."
)
flags.DEFINE_enum("precision", "float32", ["float32", "int8"], "Of the net.")
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_string("dataset", "omniglot", "A known dataset, or a folder.")
flags.DEFINE_integer("way", 0, "Classes of a task; 0: as Meta-Dataset.")
flags.DEFINE_integer("shot", 0, "Images of a class; 0: as Meta-Dataset.")
flags.DEFINE_integer("tasks", 3, "Number of tasks.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of the first task.", lower_bound=0)
flags.DEFINE_list("methods", METHODS, f"Of {', '.join(ktt.methods.names())}.")
flags.DEFINE_enum("head", None, ["linear", "prototype"], "For all methods.")
flags.DEFINE_string("scheme", None, "For sparseupdate: a name or a file.")
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


def build_learners(images) -> dict[str, ktt.methods.Learner]:
    """Builds a learner for each method; the images give int8 scales."""
    if not FLAGS.methods:
        raise ValueError("Expected at least one method. Received: none")
    methods = [ktt.methods.get(name).name for name in FLAGS.methods]
    net = build_net()
    if FLAGS.precision == "int8":
        net = ktt.unwrap(ktt.quantize(ktt.wrap(net), images))
    options = {
        "budget": ktt.Budget(memory=FLAGS.memory, macs=FLAGS.macs),
        "cost_model": FLAGS.cost_model,
        "head": FLAGS.head,
        "steps": FLAGS.steps,
        "scheme": FLAGS.scheme,
    }
    return {name: ktt.methods.build(name, net, **options) for name in methods}


def adapt(learner: ktt.methods.Learner, task: ktt.Episode) -> dict:
    """Learns a task; returns what `summarize` takes of each task."""
    start = time.perf_counter()
    learner.learn(task.support, query_images=task.query.images)
    seconds = time.perf_counter() - start
    return {
        "accuracy": learner.evaluate(task.query),
        "seconds": seconds,
        "selection_seconds": learner.selection_seconds or 0.0,
        "memory_bytes": learner.memory_bytes,
        "macs": learner.macs,
        "trained_weights": learner.trained_weights,
        "plan": learner.plan,
    }


def summarize(runs: list[dict]) -> dict[str, float]:
    """Returns mean accuracy, median seconds and the largest costs."""
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    result = {"accuracy": statistics.fmean(columns["accuracy"])}
    for name in ("seconds", "selection_seconds"):
        # TensorFlow traces and compiles in the first task.
        values = columns[name]
        result[name] = statistics.median(values[1:] or values)
    for name in ("memory_bytes", "macs", "trained_weights"):
        result[name] = max(columns[name])
    return result


def row(method: str, runs: list[dict]) -> str:
    """Returns the line of a method in the table."""
    mean, seconds, selecting, *costs = summarize(runs).values()
    accuracy = f"{100 * mean:.1f} %"
    if len(runs) > 1:
        spread = statistics.stdev(run["accuracy"] for run in runs)
        accuracy += f" +- {196 * spread / len(runs) ** 0.5:.1f}"
    times = (f"{x:.3f}" for x in (runs[0]["seconds"], seconds, selecting))
    return ROW(method, accuracy, *times, *(f"{x:,}" for x in costs))


def main(argv: list[str]) -> None:
    """Adapts to all tasks, prints the table and saves the figure."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    size = (FLAGS.image_size,) * 2
    dataset = ktt.datasets.load(FLAGS.dataset, image_size=size)
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.tasks)
    options = {"way": FLAGS.way or None, "shot": FLAGS.shot or None}
    tasks = {s: ktt.sample_episode(dataset, seed=s, **options) for s in seeds}
    learners = build_learners(tasks[FLAGS.seed].support.images)
    runs = {name: [] for name in learners}
    for seed, task in tasks.items():
        size = f"{task.support.way} classes, {len(task.support)} images"
        print(f"Task of seed {seed}: {size}")
        for name, learner in learners.items():
            runs[name].append(adapt(learner, task))
    title = f"{pathlib.Path(FLAGS.net).stem} on {dataset.name}"
    print(f"\n{title}, {FLAGS.cost_model} cost model")
    print(ROW("Method", *HEADS), *map(row, runs, runs.values()), NOTE, sep="\n")
    shown = "tinytrain" if "tinytrain" in runs else list(runs)[-1]
    plans = [run["plan"] for run in runs[shown] if run["plan"]]
    if plans:
        path = pathlib.Path(FLAGS.figure)
        plot_plan(plans, title=f"{shown}, {title}", path=path)
        print(f"Figure of what {shown} trains: {path}")
    if FLAGS.json:
        result = {"net": FLAGS.net, "dataset": FLAGS.dataset}
        result["methods"] = {name: summarize(runs[name]) for name in runs}
        print(json.dumps(result))


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"adapt.py: {error}")
