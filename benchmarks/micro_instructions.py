"""Counts the instructions of the device kernels on emulated Cortex-M cores.

    python benchmarks/micro_instructions.py
    python benchmarks/micro_instructions.py --optimize=-Os
    python benchmarks/micro_instructions.py --out=FILE

Prints instructions per multiply-accumulate for layers like those of MCUNet, of
filter gradients per MAC of the trained channels alone, and the worst of each
kind beside what was aimed at. Trained channels are spread evenly, the worst
case for reading the others around them. Instructions are not cycles.
Needs arm-none-eabi-g++ and qemu-system-arm.
"""

import json
import sys
import tempfile
from pathlib import Path

from absl import app, flags

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "micro"))

import arm_board  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("optimize", "-O2", "How the compiler optimizes.")
flags.DEFINE_string("out", None, "JSON Lines file for the result.")

FOLDER = ROOT / "tests" / "micro" / "arm"
PROGRAMS = ("count_instructions.cpp", "count_int8.cpp")
COLUMNS = (
    *("kernel", "size", "channels_in", "channels_out", "kernel_size"),
    *("stride", "trained_per_mille", "macs", "instructions"),
)
TARGETS = {  # Instructions per MAC at most; by kernel and its size.
    ("pointwise_forward", 1): 3.0,
    ("pointwise_backward_input", 1): 3.5,
    ("pointwise_backward_filter", 1): 4.0,
    ("depthwise_forward", 3): 6.0,
    # Those of the MIT engine's kernels.
    ("conv2d_forward_int8", 3): 1.98,
    ("pointwise_forward_int8", 1): 2.22,
    ("depthwise_forward_int8", 3): 6.86,
    ("depthwise_forward_int8", 5): 5.17,
    ("depthwise_forward_int8", 7): 3.96,
}


def count(board, folder):
    """Returns what each kernel takes on a board, for each layer."""
    flags_ = (FLAGS.optimize, "-ffp-contract=off")
    lines = []
    for program in PROGRAMS:
        path = Path(folder, f"{board.cpu}.elf")
        arm_board.build(board, FOLDER / program, path, *flags_)
        lines += arm_board.run(board, path).splitlines()
    rows = []
    for line in lines:
        name, *numbers = line.split()
        row = dict(zip(COLUMNS, (name, *map(int, numbers))))
        row["per_mac"] = round(row["instructions"] / row["macs"], 3)
        rows.append(row)
    return rows


def summarize(rows):
    """Returns the worst of each kind that has a target."""
    summary = []
    for (kernel, size), target in TARGETS.items():
        found = [
            row["per_mac"]
            for row in rows
            if (row["kernel"], row["kernel_size"]) == (kernel, size)
        ]
        summary.append(
            {
                "kernel": kernel,
                "kernel_size": size,
                "best": min(found),
                "worst": max(found),
                "target": target,
            }
        )
    return summary


def main(_):
    """Runs the count on both cores."""
    if arm_board.missing():
        sys.exit(f"Expected these to be installed: {arm_board.missing()}")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for board in (arm_board.M7, arm_board.M4):
            rows = count(board, folder)
            lines += [{"core": board.cpu, **row} for row in rows]
            print(f"{board.cpu} {FLAGS.optimize}: instructions per MAC")
            for row in rows:
                shape = " ".join(f"{row[c]:5d}" for c in COLUMNS[1:8])
                print(f"  {row['kernel']:26} {shape}  {row['per_mac']:6.2f}")
            for kind in summarize(rows):
                print(
                    f"  {kind['kernel']:26} {kind['best']:.2f} to "
                    f"{kind['worst']:.2f}, at most {kind['target']} wanted"
                )
    if FLAGS.out:
        for line in lines:
            line["optimize"] = FLAGS.optimize
        text = "".join(json.dumps(line) + "\n" for line in lines)
        Path(FLAGS.out).write_text(text)


if __name__ == "__main__":
    app.run(main)
