"""Times FullTrain and TinyTrain on the same tasks, in turn, in one process.

    python benchmarks/speed.py
    python benchmarks/speed.py --memory_of=tinytrain  # peak of one method

Prints medians over tasks in steady state and the ratio task by task.
`--memory_of` runs one method alone and prints its peak memory above that of
the imports, in MB.
"""

import resource
import statistics
import time

from absl import app, flags

import keras_tinytrain as ktt

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, ImageNet weights.")
flags.DEFINE_string("dataset", "omniglot", "Dataset.")
flags.DEFINE_integer("way", 10, "Classes of a task.")
flags.DEFINE_integer("shot", 5, "Images of a class.")
flags.DEFINE_integer("tasks", 5, "Timed tasks, after one that is not.")
flags.DEFINE_string("memory", "0.89MB", "Memory budget, paper model.")
flags.DEFINE_integer("macs", 6_510_000, "MAC budget.")
flags.DEFINE_string("memory_of", None, "Method whose memory to measure.")

METHODS = ("tinytrain", "full-linear", "full")


def build(method):
    """Returns a learner of its own net."""
    return ktt.methods.build(
        method,
        ktt.zoo.build(FLAGS.net),
        budget=ktt.Budget(memory=FLAGS.memory, macs=FLAGS.macs),
    )


def measure_memory(method, tasks):
    """Prints the peak memory of adapting to the tasks."""
    baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    learner = build(method)
    for task in tasks:
        learner.learn(task.support)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{method}: {(peak - baseline) / 1024:.0f} MB above "
        f"{baseline / 1024:.0f} MB of the imports and images"
    )


def main(_):
    """Runs the comparison."""
    dataset = ktt.datasets.load(FLAGS.dataset)
    tasks = [
        ktt.sample_episode(dataset, seed=seed, way=FLAGS.way, shot=FLAGS.shot)
        for seed in range(FLAGS.tasks + 1)
    ]
    if FLAGS.memory_of:
        measure_memory(FLAGS.memory_of, tasks[:2])
        return
    learners = {method: build(method) for method in METHODS}
    seconds = {method: [] for method in METHODS}
    selecting = []
    for number, task in enumerate(tasks):
        for method, learner in learners.items():
            start = time.perf_counter()
            learner.learn(task.support)
            if number:
                seconds[method].append(time.perf_counter() - start)
                if method == "tinytrain":
                    selecting.append(learner.selection_seconds)
    sparse = seconds["tinytrain"]
    for method, values in seconds.items():
        ratios = [full / ours for full, ours in zip(values, sparse)]
        print(
            f"{method:<16}{statistics.median(values):>8.2f} s a task "
            f"({min(values):.2f} to {max(values):.2f}), "
            f"{statistics.median(ratios):.1f} x tinytrain"
        )
    for method in METHODS[1:]:
        share = statistics.median(
            part / full for part, full in zip(selecting, seconds[method])
        )
        print(f"selection: {100 * share:.1f} % of {method}")


if __name__ == "__main__":
    app.run(main)
