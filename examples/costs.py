"""Prints the cost table of the paper, ours beside what was published.

    python examples/costs.py --net=mcunet

The costs are those of the paper's cost model, for the paper's variant of the
backbone: MobileNetV2 and ProxylessNAS with their final 1x1 convolution, which
the published schemes of SparseUpdate do not know and leave frozen. TinyTrain's
budget is its published cost; what it takes of that is what fits, for a task of
noise. The others cost the same whatever the task.
"""

import json
import logging

import keras
import numpy as np
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain import published

NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")
# Nets that have a final 1x1 convolution in the paper.
MIXED = ("mobilenet_v2", "proxyless_nas")

FLAGS = flags.FLAGS
flags.DEFINE_enum("net", "mcunet", NETS, "Backbone of the zoo.")
flags.DEFINE_bool("json", False, "Print one JSON object as the last line.")


def measured_costs(net: str) -> dict[str, dict[str, int]]:
    """Returns memory in bytes and backward MACs by method.

    Args:
        net: Name of the net. Its methods are those with a published cost
            that are there.
    """
    keras.utils.set_random_seed(0)
    mix = {"mix": True} if net in MIXED else {}
    model = ktt.zoo.build(net, weights=None, **mix)
    shape = (4, *model.input_shape[1:])
    noise = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    support = ktt.Examples(noise, np.array([0, 0, 1, 1]))
    memory, macs = published.costs(net, "tinytrain")
    budget = ktt.Budget(memory=int(memory), macs=round(macs))
    costs = {}
    for name in ktt.methods.names():
        if published.costs(net, name) is None:
            continue
        learner = ktt.methods.build(name, model, budget=budget, steps=0)
        learner.learn(support)
        costs[name] = {
            "memory_bytes": learner.memory_bytes,
            "macs": learner.macs,
        }
    return costs


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    # One network after another is what TensorFlow warns of as retracing.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    methods = measured_costs(FLAGS.net)
    print(f"{FLAGS.net}, cost model of the paper, published in brackets")
    row = "{:<14}{:>12} {:>9}{:>20} {:>8}".format
    print(row("Method", "Memory (MiB)", "", "Backward MACs (M)", ""))
    for method in published.titles():
        theirs = published.costs(FLAGS.net, method)
        if theirs is None:
            continue
        memory = macs = "not here"
        if method in methods:
            memory = f"{methods[method]['memory_bytes'] / 2**20:.2f}"
            macs = f"{methods[method]['macs'] / 1e6:.2f}"
        print(
            row(
                method,
                memory,
                f"({theirs[0] / 2**20:g})",
                macs,
                f"({theirs[1] / 1e6:g})",
            )
        )
    if FLAGS.json:
        print(json.dumps({"net": FLAGS.net, "methods": methods}))


if __name__ == "__main__":
    app.run(main)
