"""Measures adaptation on validation tasks, to choose by and nothing else.

    python benchmarks/validation.py --criterion=tinytrain --learning_rate=1e-3
    python benchmarks/validation.py --method=tinytl --tasks=3

`validation_tasks.py` says what the tasks are.
"""

import time

import keras
import numpy as np
from absl import app, flags
from validation_tasks import KINDS, make_task

import keras_tinytrain as ktt
from keras_tinytrain.selection import CRITERIA, make_plan
from keras_tinytrain.training import VIEWS

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, ImageNet weights.")
flags.DEFINE_list("kinds", KINDS, "Kinds of tasks.")
flags.DEFINE_integer("tasks", 14, "Tasks of each kind.")
flags.DEFINE_enum("method", "tinytrain", ktt.methods.names(), "What trains.")
flags.DEFINE_enum("criterion", CRITERIA[0], CRITERIA, "Of tinytrain.")
flags.DEFINE_enum("head", "linear", ["linear", "prototype"], "Classifier.")
flags.DEFINE_float("learning_rate", None, "Of Adam; follows the task if None.")
flags.DEFINE_integer("steps", 40, "Steps.")
flags.DEFINE_integer("views", VIEWS, "Augmented views.")
flags.DEFINE_string("memory", "0.89MB", "Memory budget, paper model.")
flags.DEFINE_integer("macs", 6_510_000, "MAC budget.")


def main(_):
    """Prints the accuracy before and after for each kind of task."""
    learner = ktt.methods.build(
        FLAGS.method,
        ktt.zoo.build(FLAGS.net),
        budget=ktt.Budget(memory=FLAGS.memory, macs=FLAGS.macs),
        head=FLAGS.head,
        steps=FLAGS.steps,
    )
    model = learner.model
    if FLAGS.learning_rate is not None:
        model.compile(keras.optimizers.Adam(FLAGS.learning_rate))
    costs = ktt.layer_costs(model, cost_model="paper")
    before = ktt.StaticSparse(make_plan({}, costs, "none"))
    if FLAGS.method == "tinytrain":
        learner.planner.criterion = FLAGS.criterion
    dataset = ktt.datasets.load("mini_imagenet_val")
    print(f"{'kind':<12}{'before':>8}{'after':>8}{'+-':>6}{'s/task':>8}")
    for kind in FLAGS.kinds:
        found = []
        for seed in range(FLAGS.tasks):
            support, query = make_task(dataset, kind, seed)
            unlabelled = query.images if learner.transductive else None
            for steps, plan, query_images in (
                (0, before, None),
                (learner.steps, learner.planner, unlabelled),
            ):
                start = time.perf_counter()
                model.fit(
                    support,
                    steps_per_epoch=steps,
                    views=FLAGS.views if steps else 0,
                    query_images=query_images,
                    callbacks=[plan],
                    verbose=0,
                )
                seconds = time.perf_counter() - start
                found.append(model.evaluate(query, verbose=0)[1])
                found.append(seconds)
        rows = np.reshape(found, (-1, 4))
        spread = 196 * rows[:, 2].std() / len(rows) ** 0.5
        print(
            f"{kind:<12}{100 * rows[:, 0].mean():>8.2f}"
            f"{100 * rows[:, 2].mean():>8.2f}{spread:>6.2f}"
            f"{np.median(rows[:, 3]):>8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
