"""What published int8 nets take of a Cortex-M7 that trains sparse updates.

    python benchmarks/micro_int8.py
    python benchmarks/micro_int8.py --out=FILE

Whole nets from 128 x 128 pixels, 10 classes, a prototype head, steps in place,
the sample in `work`; with the linker script of 256 KB of RAM. Prints bytes of
both regions, of stack and objects, and instructions of each phase for a
sample, kernels apart, on the emulated core. Needs the published weights, the
Flowers photographs, arm-none-eabi-g++ and qemu-system-arm.
"""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from absl import app, flags

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "micro"))

import arm_board  # noqa: E402
import engine_library  # noqa: E402
from int8_schemes import SCHEMES, export, flowers  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("out", None, "JSON Lines file for the result.")

WAY, STEPS, RATE = 5, 2, 0.003


def measure(name, scheme, library, folder):
    """Adapts a net to a few photographs; returns its records."""
    exported = export(name, scheme, folder)
    sizes = exported.sizes(library, 10)
    task = flowers(exported, way=WAY, shot=1, query=1)
    report = exported.on_board(
        *(arm_board.M7, folder, folder / "case", sizes, task),
        steps=STEPS,
        rate=RATE,
        memory="memory_256k.ld",
    )
    what = {"net": name, "scheme": scheme}
    total = sum(sizes) + report.stack + report.objects
    print(
        f"{name} {scheme}: persistent {sizes[0]:,} work {sizes[1]:,} stack "
        f"{report.stack:,} objects {report.objects:,}, {total:,} in all"
    )
    records = [
        what
        | dict(zip(("persistent", "work"), sizes))
        | {"stack": report.stack, "objects": report.objects}
    ]
    for phase, numbers in report.phases.items():
        each = dataclasses.asdict(numbers)
        times = each.pop("times")
        each = {key: n // times for key, n in each.items()}
        print(f"  {phase:<11}", *(f"{n:>12,}" for n in each.values()))
        records.append({**what, "phase": phase, **each})
    return records


def main(_):
    """Measures MCUNet with its smallest scheme, and all with about 100 KB."""
    if arm_board.missing():
        sys.exit(f"Expected these to be installed: {arm_board.missing()}")
    records = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = engine_library.build(folder / "engine.so")
        library = engine_library.load(path)
        for net, scheme in (("mcunet", "49kb"), *SCHEMES.items()):
            records += measure(net, scheme, library, folder)
    if FLAGS.out:
        text = "".join(json.dumps(record) + "\n" for record in records)
        Path(FLAGS.out).write_text(text)


if __name__ == "__main__":
    app.run(main)
