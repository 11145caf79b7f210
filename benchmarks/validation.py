"""Measures adaptation on validation tasks, to choose by and nothing else.

    python benchmarks/validation.py --criterion=tinytrain --learning_rate=1e-3

All images come from the validation classes of miniImageNet, 10-way 5-shot but
for the last kind:

- `plain`: as they are. ImageNet weights know the domain.
- `shifted`: the images of an episode as edges, inverted, black and white, or
  in false colours.
- `instances`: shifted images of which each is a class, 25-way 2-shot; its
  examples are strong deformations. Far from ImageNet, like characters.
"""

import time

import keras
import numpy as np
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.selection import CRITERIA, make_plan

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, ImageNet weights.")
flags.DEFINE_list("kinds", "plain,shifted,instances", "Kinds of tasks.")
flags.DEFINE_integer("tasks", 14, "Tasks of each kind.")
flags.DEFINE_enum("method", "tinytrain", ["tinytrain", "full"], "What trains.")
flags.DEFINE_enum("criterion", CRITERIA[0], CRITERIA, "Of selection.")
flags.DEFINE_enum("head", "linear", ["linear", "prototype"], "Classifier.")
flags.DEFINE_float("learning_rate", None, "Of Adam; follows the task if None.")
flags.DEFINE_integer("steps", 40, "Steps.")
flags.DEFINE_integer("views", 4, "Augmented views.")
flags.DEFINE_string("memory", "0.89MB", "Memory budget, paper model.")
flags.DEFINE_integer("macs", 6_510_000, "MAC budget.")


def shift_domain(images: np.ndarray, kind: int) -> np.ndarray:
    """Returns photographs in another domain."""
    images = images.astype(np.float32)
    grey = images.mean(axis=-1, keepdims=True)
    if kind == 0:
        across = np.abs(np.diff(grey, axis=1, prepend=grey[:, :1]))
        down = np.abs(np.diff(grey, axis=2, prepend=grey[:, :, :1]))
        shifted = 255 - 3 * (across + down)
    elif kind == 1:
        shifted = 255 - grey
    elif kind == 2:
        middle = np.median(grey, axis=(1, 2, 3), keepdims=True)
        shifted = 255.0 * (grey > middle)
    else:
        shifted = 255 - 0.7 * images[..., ::-1]
    shifted = np.broadcast_to(np.clip(shifted, 0, 255), images.shape)
    return np.round(shifted).astype(np.uint8)


def deform(image: np.ndarray, count: int, rng) -> np.ndarray:
    """Returns deformed copies of an image, with noise."""
    size = image.shape[0]
    angle = rng.uniform(-0.45, 0.45, count)
    scale = np.exp(rng.uniform(-0.3, 0.3, count))
    to = rng.uniform(-0.15, 0.15, (2, count)) * size
    cos, sin, middle = scale * np.cos(angle), scale * np.sin(angle), size / 2
    start = [
        middle - cos * middle + sin * middle + to[0],
        middle - sin * middle - cos * middle + to[1],
    ]
    zero = np.zeros(count)
    maps = np.stack([cos, -sin, start[0], sin, cos, start[1], zero, zero], -1)
    copies = keras.ops.image.affine_transform(
        np.repeat(image[None].astype(np.float32), count, axis=0),
        maps.astype(np.float32),
        fill_mode="nearest",
        data_format="channels_last",
    ).numpy()
    mean = copies.mean(axis=(1, 2, 3), keepdims=True)
    contrast = rng.uniform(0.6, 1.4, (count, 1, 1, 1))
    light = rng.uniform(-25, 25, (count, 1, 1, 1))
    noise = rng.normal(0, 12, copies.shape)
    copies = (copies - mean) * contrast + mean + light + noise
    return np.clip(np.round(copies), 0, 255).astype(np.uint8)


def make_task(dataset, kind: str, seed: int):
    """Returns the support and the query set of one task."""
    if kind != "instances":
        task = ktt.sample_episode(dataset, seed=seed, way=10, shot=5)
        if kind == "plain":
            return task.support, task.query
        return [
            ktt.Examples(shift_domain(part.images, seed % 4), part.labels)
            for part in (task.support, task.query)
        ]
    rng = np.random.default_rng(seed)
    way, shot, query = 25, 2, 6
    every = [item for name in dataset.classes for item in dataset.items(name)]
    chosen = [every[i] for i in rng.permutation(len(every))[:way]]
    images = shift_domain(dataset.load(chosen), seed % 4)
    copies = np.stack([deform(image, shot + query, rng) for image in images])
    return [
        ktt.Examples(
            np.concatenate(part),
            np.repeat(np.arange(way), part.shape[1]),
        )
        for part in (copies[:, :shot], copies[:, shot:])
    ]


def main(_):
    """Prints the accuracy before and after for each kind of task."""
    model = ktt.wrap(ktt.zoo.build(FLAGS.net), head=FLAGS.head)
    if FLAGS.learning_rate is not None:
        model.compile(keras.optimizers.Adam(FLAGS.learning_rate))
    costs = ktt.layer_costs(model, cost_model="paper")
    before = ktt.StaticSparse(make_plan({}, costs, "none"))
    if FLAGS.method == "full":
        callback = ktt.StaticSparse(ktt.full_plan(costs))
    else:
        callback = ktt.TaskAdaptiveSparse(
            ktt.Budget(memory=FLAGS.memory, macs=FLAGS.macs),
            cost_model="paper",
            criterion=FLAGS.criterion,
        )
    dataset = ktt.datasets.load("mini_imagenet_val")
    print(f"{'kind':<12}{'before':>8}{'after':>8}{'+-':>6}{'s/task':>8}")
    for kind in FLAGS.kinds:
        found = []
        for seed in range(FLAGS.tasks):
            support, query = make_task(dataset, kind, seed)
            for steps, plan in ((0, before), (FLAGS.steps, callback)):
                start = time.perf_counter()
                model.fit(
                    support,
                    steps_per_epoch=steps,
                    views=FLAGS.views if steps else 0,
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
