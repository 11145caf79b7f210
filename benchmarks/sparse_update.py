"""Searches a scheme of SparseUpdate and compares it, on validation tasks.

    python benchmarks/sparse_update.py

The kinds of tasks take turns (`validation_tasks.py`). Contributions are
measured on the first of them, and go on after any interruption; schemes are
compared on later ones. The limit is what the published scheme takes.
"""

import pathlib

import numpy as np
from absl import app, flags
from validation_tasks import KINDS, make_task

import keras_tinytrain as ktt
from keras_tinytrain.evaluation import measure_contributions
from keras_tinytrain.scheme_evolution import evolve_scheme
from keras_tinytrain.scheme_memory import MEMORY_MODELS, SchemeMemory
from keras_tinytrain.scheme_search import search_scheme
from keras_tinytrain.sparse_update import find_scheme

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, ImageNet weights.")
flags.DEFINE_integer("tasks", 8, "Tasks to measure on.")
flags.DEFINE_integer("fresh", 40, "Tasks to compare on.")
flags.DEFINE_integer("fresh_seed", 1000, "Seed of the first of these.")
flags.DEFINE_enum("memory_model", "paper", MEMORY_MODELS, "Of the limit.")
flags.DEFINE_string("records", "build/contributions.jsonl", "File of gains.")
flags.DEFINE_string("out", "build/scheme.json", "File of the scheme.")


def main(_):
    """Prints what was found, and accuracies by kind of task."""
    dataset = ktt.datasets.load("mini_imagenet_val")

    def draw(seed):
        return make_task(dataset, KINDS[seed % len(KINDS)], seed)

    net = ktt.zoo.build(FLAGS.net)
    costs = ktt.layer_costs(ktt.wrap(net))
    gains = measure_contributions(
        FLAGS.records,
        net,
        draw,
        source=f"validation tasks {','.join(KINDS)}",
        layers=[
            number
            for number, cost in enumerate(costs)
            if number >= len(costs) // 2 and not cost.per_channel_input
        ],
        tasks=FLAGS.tasks,
    )
    for k, gain in sorted(gains.biases.items()):
        shares = [
            f"{ratio:g}: {100 * value:+.1f}"
            for (index, ratio), value in sorted(gains.weights.items())
            if index == len(costs) - k
        ]
        name = costs[len(costs) - k].name
        print(f"{name:<18}biases {100 * gain:+.1f}; {', '.join(shares)}")

    memory = SchemeMemory(costs, FLAGS.memory_model)
    published = find_scheme(costs)
    limit = -(-memory.of(published) // 8)
    settings = {"memory_model": FLAGS.memory_model}
    found = search_scheme(gains, costs, limit, **settings)
    evolved = evolve_scheme(gains, costs, limit, **settings)
    pathlib.Path(FLAGS.out).write_text(found.to_json())
    print(f"Published: {published}, {memory.of(published) / 8 / 1024:.1f} KB")
    for search, scheme in (("Exact", found), ("Evolution", evolved)):
        size, gain = memory.of(scheme) / 8 / 1024, 100 * gains.of(scheme)
        print(f"{search}: {scheme}, {size:.1f} KB, sum of gains {gain:+.1f}")

    learners = {
        name: ktt.methods.build("sparseupdate", net, scheme=scheme)
        for name, scheme in (("published", None), ("found", FLAGS.out))
    }
    learners["none"] = ktt.methods.build("none", net)
    rows = []
    for seed in range(FLAGS.fresh_seed, FLAGS.fresh_seed + FLAGS.fresh):
        support, query = draw(seed)
        rows.append([seed % len(KINDS)])
        for learner in learners.values():
            learner.learn(support, seed=seed)
            rows[-1].append(100 * learner.evaluate(query))
    rows = np.array(rows)
    print(f"{'kind':<12}{''.join(f'{name:>11}' for name in learners)}")
    for kind, name in [*enumerate(KINDS), (None, "all")]:
        some = rows if kind is None else rows[rows[:, 0] == kind]
        print(
            f"{name:<12}{''.join(f'{x:>11.2f}' for x in some[:, 1:].mean(0))}"
        )
    gap = rows[:, 2] - rows[:, 1]
    spread = 1.96 * gap.std(ddof=1) / len(gap) ** 0.5
    print(f"found - published: {gap.mean():+.2f} +- {spread:.2f}")


if __name__ == "__main__":
    app.run(main)
