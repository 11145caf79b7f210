"""Writes a net of the zoo for the device, and says what it takes there.

    python examples/export_micro.py --net=mcunet --budget=0.89MB --out=build/m

The device then chooses, trains and predicts inside that budget.
"""

import json
import sys

import keras
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain import published

NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")

FLAGS = flags.FLAGS
flags.DEFINE_enum("net", "mcunet", NETS, "Backbone of the zoo.")
flags.DEFINE_enum("weights", "imagenet", ["imagenet", "none"], "Of the zoo.")
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_string("budget", "0.89MB", "Memory budget, as 256KB.")
flags.DEFINE_float(
    "macs", None, "MAC budget; the paper's for the net if unset."
)
flags.DEFINE_enum("head", "linear", ["linear", "prototype"], "Of the task.")
flags.DEFINE_integer("max_way", 10, "Most classes of a task.")
flags.DEFINE_bool("from_pixels", False, "The whole net, not its tail alone.")
flags.DEFINE_string("out", "build/micro", "Folder of the files.")
flags.DEFINE_bool("json", False, "Print one JSON object as the last line.")


def main(argv: list[str]) -> None:
    """Exports, and prints the files and what they take."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    keras.utils.set_random_seed(0)
    weights = None if FLAGS.weights == "none" else FLAGS.weights
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    net = ktt.zoo.build(FLAGS.net, weights=weights, input_shape=shape)
    macs = FLAGS.macs or published.costs(FLAGS.net, "tinytrain")[1]
    result = ktt.export_micro(
        ktt.wrap(net, head=FLAGS.head),
        FLAGS.out,
        budget=ktt.Budget(memory=FLAGS.budget, macs=macs),
        from_pixels=FLAGS.from_pixels,
        max_way=FLAGS.max_way,
    )
    for file in (result.blob, result.header, result.report):
        print(file)
    sums = {
        "flash_bytes": result.flash_bytes,
        "persistent_bytes": result.persistent_bytes,
        "work_bytes": result.work_bytes,
        "macs_step": result.macs_step,
        "macs_predict": result.macs_predict,
    }
    for name, number in sums.items():
        print(f"{name:<18}{number:>12,}")
    if FLAGS.json:
        print(json.dumps(sums))


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"export_micro.py: {error}")
