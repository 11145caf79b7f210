r"""Judges methods on many few-shot tasks; one JSON line each, resumable.

    python examples/evaluate.py --records=build/records.jsonl \
        --nets=mcunet --datasets=omniglot,cub --methods=none,tinytrain
    python examples/report.py --records=build/records.jsonl

The same command goes on after any interruption. Datasets that are not there
are named and left out. Tasks are drawn as Meta-Dataset draws them, unless
--way and --shot say how large they are. With --precision=int8 the same tasks go
into the same file, learned by the nets in int8. On a cluster:

    python examples/evaluate.py --runner=FlinkRunner \
        --runner_options=--flink_master=host:8081,--temp_location=/nfs/beam
"""

import signal
import sys

from absl import app, flags

from keras_tinytrain import datasets, evaluation, methods
from keras_tinytrain.evaluation.core_use import CoreUse
from keras_tinytrain.evaluation.records import PRECISIONS

DEFAULT = evaluation.Protocol()
NETS = "mcunet,mobilenet_v2,proxyless_nas"
RUNNERS = ["", "DirectRunner", "FlinkRunner", "SparkRunner", "DataflowRunner"]

FLAGS = flags.FLAGS
flags.DEFINE_string("records", "build/records.jsonl", "File of records.")
flags.DEFINE_list("nets", NETS, "Nets of the zoo, or .keras files.")
flags.DEFINE_enum(
    "weights", "imagenet", ["imagenet", "meta", "none"], "Of the zoo."
)
flags.DEFINE_enum("precision", "float32", PRECISIONS, "Of the nets.")
flags.DEFINE_list("datasets", list(datasets.TARGETS), "Names, or folders.")
flags.DEFINE_list("methods", methods.names(), "Ways to learn.")
flags.DEFINE_integer("episodes", 20, "Tasks of each dataset.")
flags.DEFINE_integer("seed", 0, "Seed of the first task.")
flags.DEFINE_integer("way", 0, "Classes of a task; 0: as Meta-Dataset.")
flags.DEFINE_integer("shot", 0, "Images of a class; 0: as Meta-Dataset.")
flags.DEFINE_integer(
    "max_way", DEFAULT.max_way, "Most classes of a drawn task."
)
flags.DEFINE_integer(
    "max_support", DEFAULT.max_support, "Most images of a drawn task."
)
flags.DEFINE_integer(
    "image_size", DEFAULT.image_size, "Height and width in pixels."
)
flags.DEFINE_integer("steps", DEFAULT.steps, "Training steps.", lower_bound=1)
flags.DEFINE_string("memory", "", "Budget, as 256KB; empty: as published.")
flags.DEFINE_float("macs", 0, "Budget; a share up to 1.0; 0: as published.")
flags.DEFINE_string(
    "representative",
    "",
    "Dataset that gives int8 scales; empty: mini_imagenet.",
)
flags.DEFINE_integer("processes", 0, "Workers; 0: one per core.")
flags.DEFINE_enum("runner", "", RUNNERS, "Of Apache Beam; empty: without.")
flags.DEFINE_list("runner_options", [], "Options of the Beam pipeline.")


def protocol() -> evaluation.Protocol:
    """Returns what the flags say that all tasks share."""
    return evaluation.Protocol(
        way=FLAGS.way or None,
        shot=FLAGS.shot or None,
        max_way=FLAGS.max_way,
        max_support=FLAGS.max_support,
        image_size=FLAGS.image_size,
        steps=FLAGS.steps,
        memory=FLAGS.memory or None,
        macs=FLAGS.macs or None,
        representative=FLAGS.representative or None,
    )


def main(argv: list[str]) -> None:
    """Runs what the file lacks."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    use = CoreUse()
    try:
        records = evaluation.evaluate(
            FLAGS.records,
            nets=FLAGS.nets,
            datasets=FLAGS.datasets,
            methods=FLAGS.methods,
            episodes=FLAGS.episodes,
            seed=FLAGS.seed,
            weights=FLAGS.weights,
            precision=FLAGS.precision,
            protocol=protocol(),
            processes=FLAGS.processes or None,
            runner=FLAGS.runner or None,
            runner_options=FLAGS.runner_options,
        )
    except KeyboardInterrupt:
        print(f"Stopped. The same command goes on: {FLAGS.records}")
        sys.exit(128 + signal.SIGINT)
    percent = round(100 * use.share())
    # None of it where nothing was left to do, or others did it.
    cores = f"; cores {percent} % busy" if percent else ""
    print(f"{len(records.episodes)} records: {FLAGS.records}{cores}")
    if records.missing:
        print(f"Not available: {', '.join(records.missing)}")


if __name__ == "__main__":
    try:
        app.run(main)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"evaluate.py: {error}")
