"""Prints what training a backbone costs under each static plan.

    python examples/costs.py --net=mcunet

The costs are those of the paper's cost model, for the paper's variant of the
backbone: MobileNetV2 and ProxylessNAS with their final 1x1 convolution, which
the published schemes of SparseUpdate do not know and leave frozen. It counts
FullTrain and what trains adapters at a batch of 100, the others at 1.
"""

import json

from absl import app, flags

import keras_tinytrain as ktt

NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")
# Nets that have a final 1x1 convolution in the paper.
MIXED = ("mobilenet_v2", "proxyless_nas")
# Methods that train the same in every task.
METHODS = (
    "full",
    "lastlayer",
    "adapterdrop75",
    "adapterdrop50",
    "adapterdrop25",
    "tinytl",
    "sparseupdate",
)

FLAGS = flags.FLAGS
flags.DEFINE_enum("net", "mcunet", NETS, "Backbone of the zoo.")
flags.DEFINE_bool("json", False, "Print one JSON object as the last line.")


def static_costs(net: str) -> dict[str, dict[str, int]]:
    """Returns memory in bytes and backward MACs by method."""
    mix = {"mix": True} if net in MIXED else {}
    backbone = ktt.zoo.build(net, weights=None, **mix)
    learners = {name: ktt.methods.build(name, backbone) for name in METHODS}
    plans = {name: x.planner.plan for name, x in learners.items()}
    return {
        name: {"memory_bytes": plan.memory_bytes, "macs": plan.macs}
        for name, plan in plans.items()
    }


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    methods = static_costs(FLAGS.net)
    print(f"{FLAGS.net}, cost model of the paper")
    row = "{:<14}{:>16}{:>20}".format
    print(row("Method", "Memory (MiB)", "Backward MACs (M)"))
    for method, cost in methods.items():
        memory, macs = cost["memory_bytes"] / 2**20, cost["macs"] / 1e6
        print(row(method, f"{memory:,.2f}", f"{macs:.2f}"))
    if FLAGS.json:
        print(json.dumps({"net": FLAGS.net, "methods": methods}))


if __name__ == "__main__":
    app.run(main)
