r"""Teaches an int8 MCUNet to see a person, one labelled sample at a time.

    python examples/visual_wake_words.py --stored=60,0

Samples of two classes come one by one; then a burst of a third one, as when the
device is shown something new; then all. Some are stored as int8 features, not
to be forgotten. Without data at hand the classes are scikit-learn's digits.
"""

import json
import pathlib
import sys
from collections.abc import Iterator

import keras
import numpy as np
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.plots import plot_stream
from keras_tinytrain.sparse_update import find_scheme

BURST, EVERY = 50, 25  # Samples of a new class alone, and between tests.
SCALES = 20  # Images of each of the first classes from which scales follow.
DIGITS = ("3", "5", "8")

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "", "Class folders; empty: vww, then flowers.")
flags.DEFINE_string("scheme", "49kb", "Published scheme: what trains.")
flags.DEFINE_list("stored", ["60"], "Most stored features; several compare.")
flags.DEFINE_integer("samples", 200, "Most images of a class.", lower_bound=40)
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_integer("seed", 0, "Seed of the stream.", lower_bound=0)
flags.DEFINE_string("out", "build/visual_wake_words", "Folder of results.")
flags.DEFINE_bool("json", False, "Print one JSON object as the last line.")


def load_classes() -> dict[str, np.ndarray]:
    """Returns the images of each class by its name, in order of arrival."""
    size = FLAGS.image_size, FLAGS.image_size
    if not FLAGS.folder and ktt.datasets.missing(["vww", "flower"]):
        return digits(size)
    first = ktt.datasets.load(FLAGS.folder or "vww", image_size=size)
    found = {c: draw(first, first.items(c)) for c in first.classes}
    if not FLAGS.folder:
        later = ktt.datasets.load("flower", image_size=size)
        every = [item for c in later.classes for item in later.items(c)]
        found["flower"] = draw(later, every)
    return found


def draw(dataset, items) -> np.ndarray:
    """Loads some of the images in an order that the seed decides."""
    order = np.random.default_rng(FLAGS.seed).permutation(len(items))
    return dataset.load([items[i] for i in order[: FLAGS.samples]])


def digits(size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Returns digits of scikit-learn, of 8 x 8 pixels, enlarged."""
    import sklearn.datasets

    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images = np.repeat(images.reshape(-1, 8, 8, 1) * 255 / 16, 3, axis=-1)
    images = np.asarray(keras.ops.image.resize(images, size))
    dataset = ktt.datasets.ArrayDataset(images, labels, name="digits")
    return {d: draw(dataset, dataset.items(d)) for d in DIGITS}


def split(classes: dict[str, np.ndarray]) -> tuple:
    """Parts the images: for the scales of int8, to test on, and the stream.

    The scales are put on the device with the net: their images are neither
    learned nor tested on.
    """
    few = {name: len(x) for name, x in classes.items() if len(x) < 2 * SCALES}
    if few or len(classes) < 2:
        raise ValueError(
            f"Expected 2 classes or more, of {2 * SCALES} images or more. "
            f"Received: {few or list(classes)}"
        )
    parts = []
    for label, images in enumerate(classes.values()):
        start = SCALES if label < 2 else 0
        parts.append(np.split(images, [start, start + len(images) // 4]))
    scales = np.concatenate([part[0] for part in parts])
    labels = np.repeat(range(len(parts)), [len(part[1]) for part in parts])
    streams = [[(x, label) for x in p[2]] for label, p in enumerate(parts)]
    first, left = [streams[0].pop(), streams[1].pop()], streams[0] + streams[1]
    rng = np.random.default_rng(FLAGS.seed)
    rng.shuffle(left)
    stream, left = first + left[::2], left[1::2]
    for new in streams[2:]:
        stream, left = stream + new[:BURST], left + new[BURST:]
    rng.shuffle(left)
    tests = np.concatenate([part[1] for part in parts])
    return scales, tests, labels, stream + left


def learn(learner, stream, features, labels, names) -> Iterator[dict]:
    """Learns the stream; yields the accuracy of every test."""
    for seen, (feature, label) in enumerate(stream, 1):
        learner.observe(feature, label)
        if seen % EVERY == 0 or seen == len(stream):
            known = labels < learner.classes
            hits = learner.predict(features[known]).argmax(-1) == labels[known]
            parts = [hits[labels[known] == i] for i in range(learner.classes)]
            means = {n: float(p.mean()) for n, p in zip(names, parts)}
            every = float(hits.mean())
            yield {"seen": seen, "accuracy": every, "by_class": means}


def main(argv: list[str]) -> None:
    """Learns one stream with each size of reservoir."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    classes = load_classes()
    scales, images, labels, stream = split(classes)
    net = ktt.zoo.MCUNet(weights="meta", input_shape=images.shape[1:])
    model = ktt.quantize(ktt.wrap(net), scales)
    costs = ktt.layer_costs(model)
    plan = ktt.sparse_update_plan(model, find_scheme(costs, FLAGS.scheme))
    runs, features = {}, None
    for size in map(int, FLAGS.stored):
        learner = ktt.LifelongLearner(
            model,
            plan,
            reservoir=ktt.Reservoir(size, seed=FLAGS.seed) if size else None,
            max_way=len(classes),
        )
        if features is None:  # The frozen part runs once for each sample.
            features = learner.read(images)
            stream = [(learner.read(x[None])[0], y) for x, y in stream]
        results = list(learn(learner, stream, features, labels, list(classes)))
        runs[f"{size} features stored"] = results
        print(f"{size} features of {features[0].nbytes} bytes: {results[-1]}")
    folder = pathlib.Path(FLAGS.out)
    plot_stream(runs, path=folder / "accuracy.png")
    lines = [json.dumps({"run": run, **x}) for run in runs for x in runs[run]]
    (folder / "accuracy.jsonl").write_text("\n".join(lines) + "\n")
    print(f"Accuracy over time: {folder}/accuracy.png, accuracy.jsonl")
    if FLAGS.json:
        last = {run: results[-1] for run, results in runs.items()}
        print(json.dumps({"feature_bytes": features[0].nbytes, "runs": last}))


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"visual_wake_words.py: {error}")
