"""A tiny source and net for meta-training, and a run in a process of its own.

    python tests/meta_sources.py FOLDER [KILL_AT | mirrored]

trains for a few episodes as `TF_CONFIG` says, and ends without a word when it
is about to run step KILL_AT; or as two replicas in one process.
"""

import json
import os
import pathlib
import signal
import sys

import keras
import numpy as np
from keras import layers

RECIPE = {
    "episodes": 12,
    "batch": 2,
    "way": 3,
    "shot": 2,
    "query": 3,
    "learning_rate": 3e-3,
    "optimizer": "adam",
    "crop": 0.6,
    "styles": {"invert": 0.2, "sketch": 0.2},
}
EVERY = 4


def build_net(seed=0, size=16, pooled=True):
    """Two convolutions and a frozen normalization between them."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    x = layers.Conv2D(4, 3, strides=2, name="stem")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="last")(x)
    if pooled:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, x, name="tiny")


def build_source(classes=5, count=8, seed=0, size=20):
    """Noisy pictures of stripes, of their own colours per class."""
    # Late, so that a worker can choose its strategy first.
    from keras_tinytrain.datasets import ArrayDataset

    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), count)
    pictures = rng.uniform(0, 255, (classes, 1, size, 3))
    images = pictures[labels] + rng.normal(size=(len(labels), size, size, 3))
    images = np.clip(images * 0.8, 0, 255).astype("uint8")
    return ArrayDataset(images, labels, name="stripes")


def two_replicas():
    """Makes two devices of the CPU, as a host with two accelerators has."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def main(folder, how=None):
    """Trains, and writes what came of it."""
    from keras_tinytrain import meta
    from keras_tinytrain.meta.replicas import Replicas

    if how == "mirrored":
        strategy, how = two_replicas(), None
    else:
        strategy = meta.make_strategy(patience=60)
    if how is not None:
        train, left = Replicas.train, iter(range(int(how)))

        def dying(*args):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return train(*args)

        Replicas.train = dying
    net = build_net()
    history = meta.meta_train(
        net,
        build_source(),
        folder=folder,
        recipe=meta.Recipe(**RECIPE),
        validation=build_source(seed=1),
        validation_episodes=3,
        checkpoint_every=EVERY,
        strategy=strategy,
        verbose=0,
    )
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {})
    result = pathlib.Path(folder, f"result{task.get('index', 0)}.json")
    weights = [weight.tolist() for weight in net.get_weights()]
    result.write_text(json.dumps({"history": history, "weights": weights}))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
