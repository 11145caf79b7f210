"""Times full meta-training steps: images a second, input included.

    python benchmarks/meta_speed.py
    python benchmarks/meta_speed.py --net=proxyless_nas --steps=20

Runs one process that is pinned to one core, then two on two cores that train
together (MultiWorkerMirroredStrategy, an episode each), and prints images a
second of both and their ratio. The images are drawn at random, in memory as
those of a source are; crops, colours and styles are the recipe's.
"""

import json
import os
import socket
import subprocess
import sys
import time

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, random weights.")
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_integer("shot", 5, "Support images of each of 5 classes.")
flags.DEFINE_integer("steps", 10, "Timed steps, after two that are not.")
flags.DEFINE_integer("core", -1, "Of a worker; for this program itself.")

WARM = 2


def work():
    """Trains on one core; prints the images a second of all workers."""
    os.sched_setaffinity(0, {FLAGS.core})
    import numpy as np
    import tensorflow as tf

    import keras_tinytrain as ktt
    from keras_tinytrain.meta.learner import Learner
    from keras_tinytrain.meta.replicas import Replicas
    from keras_tinytrain.meta.source import Source
    from keras_tinytrain.meta.stream import stream
    from keras_tinytrain.meta.tasks import Tasks

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    strategy = ktt.meta.make_strategy()
    size = FLAGS.image_size, FLAGS.image_size
    net = ktt.zoo.build(FLAGS.net, weights=None, input_shape=(*size, 3))
    recipe = ktt.meta.Recipe(
        batch=strategy.num_replicas_in_sync,
        episodes=100 * strategy.num_replicas_in_sync,
        shot=FLAGS.shot,
        styles=dict.fromkeys(ktt.meta.STYLES, 0.1),
    )
    images = np.random.default_rng(0).integers(0, 256, (1280, 84, 84, 3))
    source = Source(
        ktt.datasets.ArrayDataset(
            images.astype("uint8"), np.repeat(np.arange(32), 40)
        )
    )
    learner = Learner(net, recipe, len(source.classes))
    replicas = Replicas(learner, strategy)
    feed = replicas.feed(
        lambda replica: stream(
            Tasks(source, recipe),
            replicas.numbers(replica, 0, recipe.episodes, recipe.batch),
            size,
            augment=True,
        )
    )
    state, count = learner.start(), 0
    for step in range(WARM + FLAGS.steps):
        if step == WARM:
            start, count = time.perf_counter(), 0
        totals = replicas.train(state.values, feed, recipe.batch)
        state = learner.update(state, totals.gradient, 1e-4)
        count += totals.images
    seconds = time.perf_counter() - start
    print(json.dumps({"images_per_second": count / seconds}))


def speed(cores):
    """Returns images a second of one worker on each core."""
    sockets = [socket.create_server(("localhost", 0)) for _ in cores]
    addresses = [f"localhost:{s.getsockname()[1]}" for s in sockets]
    for each in sockets:
        each.close()
    workers = []
    for index, core in enumerate(cores):
        environment = dict(os.environ)
        if len(cores) > 1:
            environment["TF_CONFIG"] = json.dumps(
                {
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                }
            )
        workers.append(
            subprocess.Popen(
                [sys.executable, *sys.argv, f"--core={core}"],
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
        )
    outputs = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        sys.exit("meta_speed.py: a worker failed, see above")
    return json.loads(outputs[0].splitlines()[-1])["images_per_second"]


def main(argv):
    """Times one worker, then two."""
    del argv
    if FLAGS.core >= 0:
        work()
        return
    cores = sorted(os.sched_getaffinity(0))[:2]
    one = speed(cores[:1])
    print(f"1 process, 1 core: {one:.1f} images/s", flush=True)
    if len(cores) == 2:
        two = speed(cores)
        print(f"2 processes, 2 cores: {two:.1f} images/s, {two / one:.2f} x")


if __name__ == "__main__":
    app.run(main)
