"""Counts what an adaptation of MCUNet's tail takes on emulated Cortex-M cores.

    python benchmarks/micro_adaptation.py
    python benchmarks/micro_adaptation.py --out=FILE

Prints instructions of each phase for a sample, kernels apart, on Cortex-M4F
and M7; bytes of stack; bytes of flash of the engine with everything linked.
Then the same for half of the trained channels: what filter gradients take
halves. Instructions do not depend on numbers, so the samples are random and
the weights untrained. Instructions are not cycles.
Needs arm-none-eabi-g++ and qemu-system-arm.
"""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain import published, zoo
from keras_tinytrain.export.blob import read_blob

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "micro"))

import adaptation  # noqa: E402
import arm_board  # noqa: E402
import flash  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("out", None, "JSON Lines file for the result.")

WAY, SAMPLES, STEPS = 10, 10, 1
BUILDS = (
    (arm_board.M7, "-O2"),
    (arm_board.M4, "-O2"),
    (arm_board.M4, "-Os"),
)
LINE = "  {:<11}{:>13,}{:>13,}{:>13,}{:>13,}".format
HEAD = "  {:<11}{:>13}{:>13}{:>13}{:>13}".format(
    "phase", "a sample", "forward", "d input", "d filter"
)


def export(folder, share):
    """Exports the tail with a plan of a share of the expected channels."""
    model = ktt.wrap(zoo.build("mcunet", weights=None))
    memory, macs = published.costs("mcunet", "tinytrain")
    budget = ktt.Budget(int(memory), macs=round(macs))
    if share is not None:
        costs = ktt.layer_costs(model)
        scores = {c.name: np.ones(c.channels) for c in costs}
        plan = ktt.select(scores, costs, budget)
        channels = {
            name: np.array(c)[np.arange(0, len(c), round(1 / share))]
            for name, c in plan.channels.items()
        }
        plan = ktt.selection.make_plan(channels, costs, "part")
        ktt.apply_plan(model, plan)
    return ktt.export_micro(model, folder, budget=budget, max_way=WAY)


def measure(result, board, optimize, folder):
    """Runs an adaptation to random samples; returns the program's report."""
    data = result.blob.read_bytes()
    tensor = read_blob(data).tensors[0]
    shape = [tensor[side] for side in ("height", "width", "channels")]
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(SAMPLES, *shape))
    labels = np.arange(SAMPLES) % WAY
    task = adaptation.Task(samples, labels, samples, labels)
    task.write(folder / "case", data, steps=STEPS, rate=1e-4)
    sizes = result.persistent_bytes, result.work_bytes
    program = adaptation.build(board, folder, folder / "case", sizes, optimize)
    return adaptation.run(board, program)


def lines_of(report, **what):
    """Prints a report; returns its records."""
    found = []
    print(HEAD)
    for name, phase in report.phases.items():
        numbers = dataclasses.asdict(phase)
        times = numbers.pop("times")
        each = {key: n // times for key, n in numbers.items()}
        print(LINE(name, *each.values()))
        found.append({**what, "phase": name, "times": times, **each})
    print(f"  stack {report.stack:,} bytes")
    found.append({**what, "stack_bytes": report.stack})
    return found


def main(_):
    """Runs all builds."""
    if arm_board.missing():
        sys.exit(f"Expected these to be installed: {arm_board.missing()}")
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = {
            key: export(folder / key, share)
            for key, share in (("all", None), ("planned", 1), ("half", 0.5))
        }
        filters = {}
        for board, optimize in BUILDS:
            for key, result in results.items():
                print(f"{board.cpu} {optimize}, {key} channels")
                report = measure(result, board, optimize, folder)
                what = {"core": board.cpu, "optimize": optimize, "plan": key}
                lines += lines_of(report, **what)
                filters[key] = report.phases["accumulate"].backward_filter
            print(f"  half / all: {filters['half'] / filters['planned']:.3f}")
        size = flash.engine_bytes(arm_board.M4, folder, "-Os")
        print(f"Engine on cortex-m4 -Os, everything linked: {size:,} bytes")
        lines.append({"core": "cortex-m4", "optimize": "-Os", "flash": size})
    if FLAGS.out:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        Path(FLAGS.out).write_text(text)


if __name__ == "__main__":
    app.run(main)
