r"""Searches what SparseUpdate trains of a net: a scheme file.

    python examples/search_sparse_update.py --net=mcunet --memory=100KB \
        --dataset=mini_imagenet_val --out=build/mcunet.json
    python examples/adapt.py --net=mcunet --methods=sparseupdate \
        --scheme=build/mcunet.json

Measures once what the biases and some share of each layer gain, which takes
hours and goes on after any interruption, then searches the largest sum inside
the memory limit, which takes a second and can be done again for another one.
"""

import pathlib
import signal
import sys

from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.evaluation.contributions import measure_contributions
from keras_tinytrain.evaluation.protocol import Data, Protocol
from keras_tinytrain.evaluation.sources import find_nets
from keras_tinytrain.evaluation.worker import load_dataset, load_net
from keras_tinytrain.scheme_search import extra_memory_bits, search_scheme

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, or a .keras file.")
flags.DEFINE_enum("weights", "imagenet", ["imagenet", "none"], "Of the zoo.")
flags.DEFINE_string("dataset", "mini_imagenet_val", "Where tasks come from.")
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_string("memory", "100KB", "Limit of what int8 training adds.")
flags.DEFINE_string("out", "build/scheme.json", "File of the scheme.")
flags.DEFINE_string("records", "build/contributions.jsonl", "File of gains.")
flags.DEFINE_integer("first", -1, "First layer to train; -1: the middle one.")
flags.DEFINE_integer("tasks", 10, "Tasks to measure on.", lower_bound=1)
flags.DEFINE_integer("way", 10, "Classes of a task.", lower_bound=2)
flags.DEFINE_integer("shot", 5, "Images of a class.", lower_bound=1)
flags.DEFINE_integer("steps", 40, "Training steps.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of tasks and search.", lower_bound=0)


def search() -> ktt.Scheme:
    """Measures what the records lack, and searches."""
    memory = ktt.Budget(memory=FLAGS.memory).memory_bytes
    named = find_nets([FLAGS.net], FLAGS.weights, [], Protocol())[0]
    net = load_net(named, FLAGS.image_size)
    costs = ktt.layer_costs(ktt.wrap(net))
    data = Data(FLAGS.dataset, FLAGS.dataset)
    contributions = measure_contributions(
        FLAGS.records,
        net,
        named,
        load_dataset(data, FLAGS.image_size),
        first=len(costs) // 2 if FLAGS.first < 0 else FLAGS.first,
        tasks=FLAGS.tasks,
        seed=FLAGS.seed,
        way=FLAGS.way,
        shot=FLAGS.shot,
        steps=FLAGS.steps,
    )
    scheme = search_scheme(contributions, costs, memory, seed=FLAGS.seed)
    print(f"Scheme {scheme.name} of {named.name}:")
    print(f"  biases of the last {scheme.biases} of {scheme.layers} layers")
    for index, ratio in scheme.ratios:
        print(f"  {ratio:.1%} of the channels of {costs[index].name}")
    gain, size = contributions.of(scheme), extra_memory_bits(scheme, costs)
    print(f"  {size / 8 / 1024:.1f} KB at int8, summed gain {gain:+.1%}")
    return scheme


def main(argv: list[str]) -> None:
    """Writes the scheme."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    try:
        scheme = search()
    except KeyboardInterrupt:
        print(f"Stopped. The same command goes on: {FLAGS.records}")
        sys.exit(128 + signal.SIGINT)
    out = pathlib.Path(FLAGS.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(scheme.to_json())
    print(f"Written: {out}")


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"search_sparse_update.py: {error}")
