r"""Meta-trains a net: it learns to be good at learning from few images.

    python examples/meta_train.py --net=mcunet --source=mini_imagenet \
        --validation=mini_imagenet_val --folder=build/meta/mcunet
    python examples/evaluate.py --nets=build/meta/mcunet/mcunet.keras

The same command goes on after any interruption. The recipe is PMF's; what
differs is named:

    --recipe=episodes=40000,way=10,optimizer=adam,styles.sketch=0.2

Several processes, on one host or on many, train together when each has the
environment variable TF_CONFIG that says who takes part and which one it is
(docs/meta_training.md).
"""

import dataclasses
import json
import pathlib
import signal
import sys

from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain import meta
from keras_tinytrain.evaluation.protocol import Net
from keras_tinytrain.evaluation.worker import load_net
from keras_tinytrain.whole_files import whole_file

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, or a .keras file.")
flags.DEFINE_enum(
    "weights",
    "imagenet",
    ["imagenet", "meta", "none"],
    "To start from, of a net of the zoo.",
)
flags.DEFINE_string(
    "source", "mini_imagenet", "A known dataset, or a folder of images."
)
flags.DEFINE_string(
    "split",
    "auto",
    "Classes of the source: those of Meta-Dataset's train, valid or test "
    "part; auto: all of a folder, test of tensorflow-datasets.",
)
flags.DEFINE_string(
    "validation",
    "mini_imagenet_val",
    "Classes to choose the best weights by; empty: keep the last.",
)
flags.DEFINE_integer("validation_episodes", 60, "Tasks of a validation.")
flags.DEFINE_integer("checkpoint_every", 1000, "Tasks between checkpoints.")
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_list("recipe", [], "What differs from the default, name=value.")
flags.DEFINE_string("folder", "build/meta", "Where checkpoints and logs go.")
flags.DEFINE_enum(
    "dtype", "float16", ["float16", "int8"], "Of the file of weights."
)


def read_recipe() -> meta.Recipe:
    """Returns the recipe with what the flag changes."""
    known = {field.name for field in dataclasses.fields(meta.Recipe)}
    shares = {"styles": {}, "tasks": {}}
    values = dict(shares)
    for text in FLAGS.recipe:
        name, equals, value = text.partition("=")
        group, _, member = name.partition(".")
        if (
            not equals
            or group not in known
            or bool(member) != (group in shares)
        ):
            raise ValueError(
                "Expected name=value with a name of the recipe, as styles.grey "
                f"or one of {', '.join(sorted(known - set(shares)))}. "
                f"Received: {text!r}"
            )
        try:
            value = json.loads(value)
        except ValueError:
            pass  # A name, as of an optimizer.
        target = shares[group] if member else values
        target[member or name] = value
    return meta.Recipe(**values)


def main(argv: list[str]) -> None:
    """Trains, and writes the net and a small file of its weights."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    # A worker has to say so before TensorFlow computes anything.
    strategy = meta.make_strategy()
    recipe, folder = read_recipe(), pathlib.Path(FLAGS.folder)
    size = FLAGS.image_size, FLAGS.image_size
    net = load_net(Net(FLAGS.net, FLAGS.weights, FLAGS.net), FLAGS.image_size)
    stored = recipe.stored_size, recipe.stored_size
    source = ktt.datasets.load(
        FLAGS.source, image_size=stored, split=FLAGS.split
    )
    try:
        history = meta.meta_train(
            net,
            source,
            folder=folder,
            recipe=recipe,
            validation=FLAGS.validation or None,
            validation_episodes=FLAGS.validation_episodes,
            checkpoint_every=FLAGS.checkpoint_every,
            image_size=size,
            strategy=strategy,
        )
    except KeyboardInterrupt:
        print(f"Stopped. The same command goes on: {folder}")
        sys.exit(128 + signal.SIGINT)
    if not meta.is_chief(strategy):
        return
    judged = [x["val_accuracy"] for x in history if "val_accuracy" in x]
    about = {
        "start": FLAGS.weights,
        "source": source.name,
        "recipe": json.loads(recipe.to_json()),
        "validation": FLAGS.validation,
        "val_accuracy": max(judged, default=None),
        "library": ktt.__version__,
    }
    path = folder / f"{net.name}.npz"
    digest = meta.save_weights_file(net, path, dtype=FLAGS.dtype, about=about)
    with whole_file(path.with_suffix(".keras")) as part:
        net.save(part)
    if judged:
        print(f"Best validation accuracy: {100 * max(judged):.2f} %")
    print(f"Net: {path.with_suffix('.keras')}")
    print(f"Weights: {path}, {path.stat().st_size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"meta_train.py: {error}")
