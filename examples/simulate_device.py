"""Learns a task as a device does, and compares with Keras.

    python examples/simulate_device.py --net=mcunet --dataset=omniglot \
      --budget=256KB --runtime=tflm

With `tflm` the exported model.tflite runs in TensorFlow Lite Micro
(pip install '.[tflm]'); with `engine` the frozen part runs in Keras, to the
same bits, and the tail in the device's C++.
"""

import json
import sys

import keras
import numpy as np
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain import published

NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")

FLAGS = flags.FLAGS
flags.DEFINE_enum("net", "mcunet", NETS, "Backbone of the zoo.")
flags.DEFINE_string("dataset", "omniglot", "Name, or folder of classes.")
flags.DEFINE_string("budget", "256KB", "Memory budget of the tail.")
flags.DEFINE_float(
    "macs", None, "MAC budget; the paper's for the net if unset."
)
flags.DEFINE_enum("runtime", "tflm", ["tflm", "engine"], "What runs it.")
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_integer("way", 5, "Classes of the task.")
flags.DEFINE_integer("shot", 5, "Images of each class.")
flags.DEFINE_integer("steps", 40, "Training steps.")
flags.DEFINE_integer("queries", 100, "Most images to predict.")
flags.DEFINE_integer("seed", 0, "Of the task.")
flags.DEFINE_float(
    "learning_rate", None, "Of Adam; the rule of `fit` if unset."
)
flags.DEFINE_string("out", "build/simulated", "Folder of the export.")
flags.DEFINE_bool("json", False, "Print one JSON object as the last line.")


def main(argv: list[str]) -> None:
    """Exports, learns on the device and in Keras, and prints both."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    size = FLAGS.image_size
    dataset = ktt.datasets.load(FLAGS.dataset, image_size=(size, size))
    task = ktt.sample_episode(
        dataset, seed=FLAGS.seed, way=FLAGS.way, shot=FLAGS.shot
    )
    support = task.support
    queries = task.query.images[: FLAGS.queries]
    labels = task.query.labels[: FLAGS.queries]
    shape = (size, size, 3)
    model = ktt.wrap(ktt.zoo.build(FLAGS.net, input_shape=shape))
    macs = FLAGS.macs or published.costs(FLAGS.net, "tinytrain")[1]
    budget = ktt.Budget(memory=FLAGS.budget, macs=macs)
    result = ktt.export_micro(
        model,
        FLAGS.out,
        budget=budget,
        max_way=FLAGS.way,
        representative_data=support,
    )
    rate = {"learning_rate": FLAGS.learning_rate}
    engine = ktt.micro.Engine(result.blob, **rate)
    first = engine.layers[0]
    hybrid = ktt.quantization.quantize_prefix(model, support, first)
    if FLAGS.runtime == "tflm":
        device = ktt.micro.Simulator(FLAGS.out, **rate)
        print(device.summary())
        read = np.asarray
    else:
        device = engine
        window = hybrid.window(first)

        def read(images: np.ndarray) -> np.ndarray:
            (found,) = window.prefix(images)
            return np.asarray(found)

    channels, before, after = learn(
        device, read(support.images), support.labels, read(queries), labels
    )
    costs = ktt.layer_costs(model, way=FLAGS.way, first=first)
    plan = ktt.select(ktt.channel_fisher(hybrid, support), costs, budget)
    same = {n: list(c) for n, c in plan.channels.items()} == channels
    if FLAGS.learning_rate:
        hybrid.compile(keras.optimizers.Adam(FLAGS.learning_rate))
    static = ktt.StaticSparse(plan)
    hybrid.fit(
        support,
        callbacks=[static],
        views=0,
        steps_per_epoch=FLAGS.steps,
        verbose=0,
    )
    by_keras = hybrid.predict(queries).argmax(-1) == labels
    simulated = FLAGS.runtime == "tflm"
    sums = {
        "accuracy_before": before,
        "accuracy_after": after,
        "keras_accuracy_after": float(by_keras.mean()),
        "same_plan": same,
        "tflm_arena_bytes": device.arena["total"] if simulated else None,
        "persistent_bytes": result.persistent_bytes,
        "work_bytes": result.work_bytes,
        "flash_bytes": result.tflite.stat().st_size,
    }
    for name, value in sums.items():
        print(f"{name:<22}{value}")
    if FLAGS.json:
        print(json.dumps(sums))


def learn(device, samples, labels, queries, expected):
    """Learns a task; returns channels, accuracy before and after."""
    for sample, label in zip(samples, labels):
        device.observe(sample, label)
    before = accuracy(device, queries, expected)
    for sample, label in zip(samples, labels):
        device.score(sample, label)
    channels = device.select()
    device.plan(channels)
    device.train(samples, labels, steps=FLAGS.steps)
    device.settle(samples, labels)
    chosen = {name: list(found) for name, found in channels.items()}
    return chosen, before, accuracy(device, queries, expected)


def accuracy(device, samples, labels) -> float:
    """Returns the share of samples whose class is found."""
    found = [device.predict(sample).argmax() for sample in samples]
    return float(np.mean(found == labels))


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"simulate_device.py: {error}")
