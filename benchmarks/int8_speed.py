"""Times training steps and the frozen prefix, in float32 and in int8.

    python benchmarks/int8_speed.py

Both precisions run in turn, on one thread each. Prints the best of all rounds
in seconds, and the ratio.
"""

import time

import tensorflow as tf
from absl import app, flags

import keras_tinytrain as ktt

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, ImageNet weights.")
flags.DEFINE_string("dataset", "flowers", "Dataset.")
flags.DEFINE_integer("way", 10, "Classes.")
flags.DEFINE_integer("shot", 5, "Images of a class.")
flags.DEFINE_integer("rounds", 10, "Measurements of each.")
flags.DEFINE_string("memory", "0.89MB", "Memory budget, paper model.")
flags.DEFINE_integer("macs", 6_510_000, "MAC budget.")

ROW = "{:<14}{:<10}{:>10}{:>10}{:>8}".format


def prepare(model, callback, support):
    """Returns what runs the prefix and what makes a step, both compiled."""
    options = {"steps_per_epoch": 1, "views": 0, "verbose": 0}
    model.fit(support, callbacks=[callback], **options)
    window, vectors = model.training_window(), model.class_vectors.value
    labels = tf.constant(support.labels, tf.int32)
    trainer = model.trainer(tf.size(window.pack()) + tf.size(vectors))
    trainer.start(vectors, task="timing")
    features = window.prefix(support.images)
    return {
        "prefix": lambda: window.prefix(support.images),
        "step": lambda: trainer.step(features, features, labels),
    }


def main(_):
    """Times all."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    dataset = ktt.datasets.load(FLAGS.dataset)
    task = ktt.sample_episode(dataset, seed=0, way=FLAGS.way, shot=FLAGS.shot)
    plain = ktt.wrap(ktt.zoo.build(FLAGS.net))
    models = {"float32": plain, "int8": ktt.quantize(plain, task.support)}
    budget = ktt.Budget(memory=FLAGS.memory, macs=FLAGS.macs)
    callbacks = {
        "sparseupdate": ktt.StaticSparse(ktt.sparse_update_plan(plain)),
        "tinytrain": ktt.TaskAdaptiveSparse(budget, cost_model="paper"),
    }
    print(ROW("Plan", "Part", *models, "Ratio"))
    for plan, callback in callbacks.items():
        parts = {
            name: prepare(model, callback, task.support)
            for name, model in models.items()
        }
        for part in ("prefix", "step"):
            best = dict.fromkeys(models, float("inf"))
            for _ in range(FLAGS.rounds):
                for name in models:
                    start = time.perf_counter()
                    parts[name][part]()
                    seconds = time.perf_counter() - start
                    best[name] = min(best[name], seconds)
            ratio = best["int8"] / best["float32"]
            numbers = (f"{value:.3f}" for value in (*best.values(), ratio))
            print(ROW(plan, part, *numbers), flush=True)


if __name__ == "__main__":
    app.run(main)
