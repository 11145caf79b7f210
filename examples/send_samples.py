"""Teaches a board a task over a serial port, with AdaptToTask on it.

    python examples/send_samples.py --port=/dev/ttyACM0 --way=5 --shot=5 \
      --export=build/micro --net=mcunet --dataset=path/to/images

The board chooses, trains and predicts; this sends images, or the features that
the frozen part makes of them here, and counts what is right. An export from
pixels needs no --net. pip install '.[serial]' in a clone.
"""

import json
import sys

import keras
import numpy as np
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.micro import SerialDevice
from keras_tinytrain.micro.prefix import device_samples

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "export", "build/micro", "Folder of export_micro, its .ttnb or header."
)
flags.DEFINE_string(
    "net", None, "Net that was exported, if its tail was: zoo or .keras file."
)
flags.DEFINE_enum(
    "weights", "imagenet", ["imagenet", "meta", "none"], "Of the zoo."
)
flags.DEFINE_integer("image_size", 128, "Height and width, for --net.")
flags.DEFINE_string("dataset", "omniglot", "Name, or folder of classes.")
flags.DEFINE_string("port", None, "Serial port, such as /dev/ttyACM0.")
flags.DEFINE_integer("baud", 115_200, "Bits a second; USB ignores it.")
flags.DEFINE_float("seconds", 3.0, "To wait for an answer.")
flags.DEFINE_integer("way", 5, "Classes of the task.")
flags.DEFINE_integer("shot", 5, "Images of each class.")
flags.DEFINE_integer("steps", 40, "Training steps.")
flags.DEFINE_integer("queries", 50, "Most images to predict.")
flags.DEFINE_integer("seed", 0, "Of the task.")
flags.DEFINE_float(
    "learning_rate", None, "Of Adam; the rule of `fit` if unset."
)
flags.DEFINE_bool("json", False, "Print one JSON object as the last line.")
flags.mark_flag_as_required("port")


def main(argv: list[str]) -> None:
    """Connects, sends a task, and prints what came of it."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    device = SerialDevice(
        FLAGS.export,
        FLAGS.port,
        baud=FLAGS.baud,
        classes=FLAGS.way,
        learning_rate=FLAGS.learning_rate,
        seconds=FLAGS.seconds,
    )
    about = device.about
    print(
        f"A board with {device.blob.network['name']} answers: "
        f"{about['persistent_bytes']:,} and {about['work_bytes']:,} bytes, "
        f"{about['kept_bytes']:,} for samples."
    )
    task, samples = read_task(device)
    count = len(task.support)
    queries = samples[count:]
    expected = task.query.labels[: len(queries)]
    pairs = [*zip(samples[:count], task.support.labels)]
    for sample, label in progress("Observing", pairs):
        device.observe(sample, label)
    before = accuracy(device, queries, expected)
    for sample, label in progress("Scoring", pairs):
        device.score(sample, label)
    channels = device.select()
    device.plan(channels)
    for name, chosen in channels.items():
        print(f"Trains {len(chosen)} channels of {name}.")
    losses = []
    for _ in progress("Training", range(FLAGS.steps)):
        found = [device.accumulate(x, label) for x, label in pairs]
        losses.append(float(np.mean(found)))
        device.update()
    device.settle(*zip(*pairs))
    after = accuracy(device, queries, expected)
    print(f"Accuracy on {len(queries)} images: {before:.3f}, now {after:.3f}.")
    device.save()
    where = "flash" if device.lasts else "RAM, until the power goes"
    print(f"The board has saved what it learned in {where}.")
    device.close()
    if FLAGS.json:
        sums = {
            "accuracy_before": before,
            "accuracy_after": after,
            "losses": losses,
            "channels": {n: list(map(int, c)) for n, c in channels.items()},
            "sent_bytes": device.sent_bytes,
            "repeated": device.repeated,
        }
        print(json.dumps(sums))


def read_task(device: SerialDevice) -> tuple[ktt.Episode, np.ndarray]:
    """Returns a task, and the samples of its support and query images."""
    pixels = not device.blob.network["input_kind"]
    size = device.sample_shape[:2] if pixels else (FLAGS.image_size,) * 2
    dataset = ktt.datasets.load(FLAGS.dataset, image_size=size)
    split = {"way": FLAGS.way, "shot": FLAGS.shot}
    task = ktt.sample_episode(dataset, seed=FLAGS.seed, **split)
    queries = task.query.images[: FLAGS.queries]
    images = np.concatenate([task.support.images, queries])
    if pixels and not device.blob.tensors[0]["type"]:
        return task, images
    if FLAGS.net is None:
        raise ValueError(
            "Expected --net: the export begins with features, or in int8, "
            "and what makes them of images runs here. Received: none"
        )
    if FLAGS.net.endswith(".keras"):
        net = keras.saving.load_model(FLAGS.net, compile=False)
    else:
        weights = None if FLAGS.weights == "none" else FLAGS.weights
        shape = (*size, 3)
        net = ktt.zoo.build(FLAGS.net, weights=weights, input_shape=shape)
    model = net if isinstance(net, ktt.AdaptiveModel) else ktt.wrap(net)
    return task, device_samples(model, device.blob, images)


def progress(title: str, steps):
    """Goes through steps, and shows how far it is."""
    print(f"{title}:")
    bar = keras.utils.Progbar(len(steps))
    for step in steps:
        yield step
        bar.add(1)


def accuracy(device: SerialDevice, samples, labels) -> float:
    """Returns the share of samples whose class is found."""
    asked = progress("Asking", samples)
    return float(np.mean([device.predict(x).argmax() for x in asked] == labels))


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"send_samples.py: {error}")
