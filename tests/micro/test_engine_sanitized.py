"""No byte out of place and nothing undefined, in all of an engine's life."""

import os
import subprocess
import sys
from pathlib import Path

import engine_library
import kernel_library
import numpy as np
from random_nets import random_net

import keras_tinytrain as ktt

HERE = Path(__file__).parent
NETS = 12


def test_a_life_under_sanitizers(build_folder, randomized, tmp_path, compiler):
    for seed in range(NETS):
        rng = np.random.default_rng(300 + seed)
        head = ["linear", "prototype"][seed % 2]
        model = ktt.wrap(randomized(random_net(rng), seed), head=head)
        folder = tmp_path / "exports"
        result = ktt.export_micro(model, folder, criterion="tinytrain")
        result.blob.rename(tmp_path / f"{seed:02}.ttnb")
    library = engine_library.build(
        build_folder / "engine_sanitized.so",
        *kernel_library.SANITIZE,
        "-fno-sanitize-recover",
    )
    runtimes = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    result = subprocess.run(
        [sys.executable, HERE / "drive_engine.py", library, tmp_path],
        env={
            **os.environ,
            "LD_PRELOAD": " ".join(runtimes),
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "halt_on_error=1,print_stacktrace=1",
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert result.stdout == f"{NETS} blobs\n"
