"""Builds sketches as the Arduino IDE does, for emulated boards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import arm_board
import pytest

HERE = Path(__file__).parent
LIBRARY = HERE.parents[1] / "micro"
EXAMPLES = LIBRARY / "examples"
HARDWARE = Path("/usr/share/arduino-builder")
# The second one has flash of Mbed, the first one none.
BOARDS = {"m4": arm_board.M4, "m7": arm_board.M7}


def hardware(folder: Path) -> None:
    """Writes the platform of the emulated boards."""
    platform = folder / "tiny" / "arm"
    shutil.copytree(HERE / "arduino", platform)
    startup = arm_board.HERE / "startup.cpp"
    shutil.copy(startup, platform / "cores" / "tiny")
    # The memory of a board, where it has a script of its own.
    scripts = [arm_board.HERE / n for n in ("memory_4m.ld", "link.ld")]
    flags = " ".join(f"-T {path}" for path in scripts if path.exists())
    with (platform / "platform.txt").open("a") as file:
        file.write(f"tiny.scripts={flags}\n")


def build(board: str, sketch: Path, folder: Path) -> Path:
    """Builds a sketch with all warnings; skips the test without the tools.

    Args:
        board: One of `BOARDS`.
        sketch: Folder of the sketch.
        folder: Where all goes.

    Returns:
        The program.
    """
    missing = arm_board.missing()
    missing += [t for t in ["arduino-builder"] if not shutil.which(t)]
    if missing:
        pytest.skip(f"Not installed: {', '.join(missing)}.")
    hardware(folder / "hw")
    for name in ("tools", "out"):
        (folder / name).mkdir()
    shutil.copytree(LIBRARY, folder / "libs" / "TinyTrain")
    result = subprocess.run(
        [
            *("arduino-builder", "-compile", "-hardware", HARDWARE),
            *("-hardware", folder / "hw", "-tools", folder / "tools"),
            *("-libraries", folder / "libs", "-fqbn", f"tiny:arm:{board}"),
            *("-build-path", folder / "out", "-warnings", "all"),
            sketch / f"{sketch.name}.ino",
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "warning:" not in result.stderr
    return folder / "out" / f"{sketch.name}.ino.elf"


def run(board: str, example: str, folder: Path) -> str:
    """Builds an example and returns what it prints."""
    program = build(board, EXAMPLES / example, folder)
    return arm_board.run(BOARDS[board], program)
