"""Trains an int8 net with and without quantisation-aware scaling.

    python benchmarks/qas.py
    python benchmarks/qas.py --plans=99kb --tasks=2 --steps=20

For each plan and way to train, the learning rate is the best one of a grid
on tasks of other seeds; accuracies are on the tasks that follow. All ways
learn the same tasks. Prints the mean and its 95 % interval, the difference to
QAS with SGD task by task, and the mean loss of the last step: where the head
alone does well, it shows what accuracy does not.
"""

import statistics

import keras
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.selection import make_plan

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo.")
flags.DEFINE_string("dataset", "flowers", "Dataset.")
flags.DEFINE_list("plans", ["last6", "99kb"], "Layers, or published schemes.")
flags.DEFINE_integer("way", 12, "Classes of a task.")
flags.DEFINE_integer("shot", 20, "Images of a class.")
flags.DEFINE_integer("steps", 50, "Steps, each with all images.")
flags.DEFINE_integer("views", ktt.training.VIEWS, "Augmented views.")
flags.DEFINE_list("ways", [], "Ways to train; all if empty.")
flags.DEFINE_integer("tasks", 5, "Tasks that are reported.", lower_bound=2)
flags.DEFINE_integer("validation", 2, "Tasks that choose the rates.")
# Rates of real weights, and of integers, which are some hundred times as large
# and have gradients as much smaller.
flags.DEFINE_list("sgd", ["0.0001", "0.0003", "0.001", "0.003"], "Real, SGD.")
flags.DEFINE_list("int_sgd", ["0.1", "1", "10", "100"], "Integers, SGD.")
flags.DEFINE_list("adam", ["0.0003", "0.001", "0.003"], "Real, Adam.")
flags.DEFINE_list("int_adam", ["0.03", "0.1", "0.3"], "Integers, Adam.")

SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
# Whether the net is int8, what trains it at a rate, and the rates to try.
WAYS = {
    "QAS-SGD": (True, lambda rate: ktt.QASOptimizer(SGD(rate)), "sgd"),
    "int8-SGD": (True, SGD, "int_sgd"),
    "float-SGD": (False, SGD, "sgd"),
    "QAS-Adam": (True, lambda rate: ktt.QASOptimizer(Adam(rate)), "adam"),
    "int8-Adam": (True, Adam, "int_adam"),
    "float-Adam": (False, Adam, "adam"),
}
ROW = "{:<8}{:<14}{:>8}{:>18}{:>20}{:>9}".format


def build_plan(model, name):
    """Returns a published scheme, or all of the last layers."""
    if not name.startswith("last"):
        costs = ktt.layer_costs(model)
        scheme = ktt.sparse_update.find_scheme(costs, name)
        return ktt.sparse_update_plan(model, scheme)
    costs = ktt.layer_costs(model)
    last = costs[-int(name.removeprefix("last")) :]
    channels = {cost.name: range(cost.channels) for cost in last}
    return make_plan(channels, costs, name)


def learn(model, plan, task):
    """Returns accuracy and last loss; 0 and infinity where it diverges."""
    try:
        history = model.fit(
            task.support,
            steps_per_epoch=FLAGS.steps,
            views=FLAGS.views,
            callbacks=[ktt.StaticSparse(plan)],
            verbose=0,
        )
    except ValueError as error:
        if "finite" not in str(error):
            raise
        return 0.0, float("inf")
    return model.evaluate(task.query, verbose=0)[1], history.history["loss"][-1]


def measure(model, plan, make, rates, tasks):
    """Returns the best rate, and accuracies and losses of reported tasks."""
    trial, reported = tasks[: FLAGS.validation], tasks[FLAGS.validation :]
    means = {}
    for rate in rates:
        model.compile(make(float(rate)))
        found, losses = zip(*(learn(model, plan, task) for task in trial))
        means[rate] = statistics.fmean(found), -statistics.fmean(losses)
    best = max(means, key=means.get)
    model.compile(make(float(best)))
    return best, *zip(*(learn(model, plan, task) for task in reported))


def interval(values):
    """Returns mean and 95 % interval, in %."""
    spread = 1.96 * statistics.stdev(values) / len(values) ** 0.5
    return f"{100 * statistics.fmean(values):+.1f} +- {100 * spread:.1f}"


def main(_):
    """Measures all ways."""
    dataset = ktt.datasets.load(FLAGS.dataset)
    tasks = [
        ktt.sample_episode(dataset, seed=seed, way=FLAGS.way, shot=FLAGS.shot)
        for seed in range(FLAGS.validation + FLAGS.tasks)
    ]
    plain = ktt.wrap(ktt.zoo.build(FLAGS.net))
    images = tasks[0].support.images[:100]
    models = {False: plain, True: ktt.quantize(plain, images)}
    print(ROW("Plan", "Way", "Rate", "Accuracy", "Less QAS, SGD", "Loss"))
    for name in FLAGS.plans:
        base = None
        for way in FLAGS.ways or WAYS:
            int8, make, grid = WAYS[way]
            # Channels are chosen by the float weights, for all alike.
            plan = build_plan(plain, name)
            rates = getattr(FLAGS, grid)
            best, found, losses = measure(
                models[int8], plan, make, rates, tasks
            )
            base = base or found
            less = [a - b for a, b in zip(found, base)]
            print(
                ROW(
                    name,
                    way,
                    best,
                    interval(found),
                    interval(less),
                    f"{statistics.fmean(losses):.3f}",
                ),
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
