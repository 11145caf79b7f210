r"""Searches what SparseUpdate trains of a net, on images of your own.

    python examples/search_sparse_update.py --net=mcunet --memory=100KB \
        --dataset=path/to/images --out=build/mcunet.json
    python examples/adapt.py --net=mcunet --methods=sparseupdate \
        --scheme=build/mcunet.json

Measures once what the biases and some ratios of each layer gain, which takes
long and goes on after any interruption; then finds the largest sum inside the
memory limit, which takes a second: again with another --memory measures
nothing. Writes the scheme, which holds for any weights of the net, and beside
it the plan that it gives for these, as `UpdatePlan.from_json` reads it.
"""

import fnmatch
import functools
import pathlib
import signal
import sys

from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.evaluation import measure_contributions
from keras_tinytrain.evaluation.contributions import RATIOS
from keras_tinytrain.evaluation.protocol import Net
from keras_tinytrain.evaluation.worker import load_net
from keras_tinytrain.scheme_evolution import evolve_scheme
from keras_tinytrain.scheme_memory import MEMORY_MODELS, SchemeMemory
from keras_tinytrain.scheme_search import search_scheme
from keras_tinytrain.whole_files import whole_file

FLAGS = flags.FLAGS
flags.DEFINE_string("net", "mcunet", "Net of the zoo, or a .keras file.")
flags.DEFINE_enum(
    "weights", "imagenet", ["imagenet", "meta", "none"], "Of the zoo."
)
flags.DEFINE_string(
    "dataset",
    "mini_imagenet_val",
    "Where tasks come from: a known dataset, or a folder of images per class. "
    "ImageNet weights know miniImageNet's classes, and gain little there.",
)
flags.DEFINE_integer("image_size", 128, "Height and width in pixels.")
flags.DEFINE_string("memory", "100KB", "Memory limit, as 256KB.")
flags.DEFINE_enum(
    "memory_model",
    MEMORY_MODELS[0],
    MEMORY_MODELS,
    "int8: what training adds to inference, as in the names of the published "
    "schemes; paper: all of training, as in TinyTrain's tables.",
)
flags.DEFINE_list(
    "layers", [], "Names to measure, as block1*; empty: the later half."
)
flags.DEFINE_list("ratios", [str(r) for r in RATIOS], "Shares of a layer.")
flags.DEFINE_enum(
    "search",
    "exact",
    ["exact", "evolution"],
    "exact: the largest sum there is; evolution: the paper's search.",
)
flags.DEFINE_integer(
    "tasks", 30, "Tasks to measure on; of few, gains are noise.", lower_bound=1
)
flags.DEFINE_integer("way", 10, "Classes of a task.", lower_bound=2)
flags.DEFINE_integer("shot", 5, "Images of a class.", lower_bound=1)
flags.DEFINE_integer("steps", 40, "Training steps.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of tasks and search.", lower_bound=0)
flags.DEFINE_string("records", "build/contributions.jsonl", "File of gains.")
flags.DEFINE_string("out", "build/scheme.json", "File of the scheme.")


def find_layers(costs: ktt.LayerCosts) -> list[int] | None:
    """Returns the numbers of the layers that the flag names."""
    names = [cost.name for cost in costs]
    for pattern in FLAGS.layers:
        if not fnmatch.filter(names, pattern):
            raise ValueError(
                f"Expected names of layers of {names}, * for any letters. "
                f"Received: {pattern!r}"
            )
    return [
        number
        for number, name in enumerate(names)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in FLAGS.layers)
    ] or None


def measure(net, costs: ktt.LayerCosts):
    """Measures what the records lack."""
    size, way, shot = FLAGS.image_size, FLAGS.way, FLAGS.shot
    dataset = ktt.datasets.load(FLAGS.dataset, image_size=(size, size))
    if dataset.name in ktt.datasets.TARGETS:
        raise ValueError(
            "Expected a dataset that no results are reported on. Received: "
            f"{dataset.name!r}, one of the paper's targets"
        )

    def draw(seed):
        task = ktt.sample_episode(dataset, seed=seed, way=way, shot=shot)
        return task.support, task.query

    return measure_contributions(
        FLAGS.records,
        net,
        draw,
        source=f"{dataset.name} {way}-way {shot}-shot {size} px",
        layers=find_layers(costs),
        ratios=[float(ratio) for ratio in FLAGS.ratios],
        tasks=FLAGS.tasks,
        seed=FLAGS.seed,
        steps=FLAGS.steps,
    )


def main(argv: list[str]) -> None:
    """Measures, searches, and writes the scheme and the plan."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    memory = ktt.Budget(memory=FLAGS.memory).memory_bytes
    net = load_net(Net(FLAGS.net, FLAGS.weights, FLAGS.net), FLAGS.image_size)
    model = ktt.wrap(net)
    costs = ktt.layer_costs(model)
    try:
        gains = measure(net, costs)
    except KeyboardInterrupt:
        print(f"Stopped. The same command goes on: {FLAGS.records}")
        sys.exit(128 + signal.SIGINT)
    search = search_scheme
    if FLAGS.search == "evolution":
        search = functools.partial(evolve_scheme, seed=FLAGS.seed)
    scheme = search(gains, costs, memory, memory_model=FLAGS.memory_model)
    plan = ktt.sparse_update_plan(model, scheme, cost_model="paper")
    plan.summary()
    bits = SchemeMemory(costs, FLAGS.memory_model).of(scheme)
    print(f"Memory, {FLAGS.memory_model} model: {bits / 8192:.1f} KB")
    print(f"Sum of measured gains: {100 * gains.of(scheme):+.1f} points")
    out = pathlib.Path(FLAGS.out)
    for path, found in ((out, scheme), (out.with_suffix(".plan.json"), plan)):
        with whole_file(path) as part:
            part.write_text(found.to_json())
        print(f"Written: {path}")


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"search_sparse_update.py: {error}")
