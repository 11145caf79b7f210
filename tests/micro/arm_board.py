"""Builds programs for an emulated Cortex-M and runs them in QEMU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import kernel_library

HERE = Path(__file__).parent / "arm"
COMPILER = "arm-none-eabi-g++"
EMULATOR = "qemu-system-arm"


class Board(NamedTuple):
    """A core with single-precision FPU, and the machine QEMU has it in."""

    cpu: str
    fpu: str
    machine: str


M4 = Board("cortex-m4", "fpv4-sp-d16", "mps2-an386")
M7 = Board("cortex-m7", "fpv5-sp-d16", "mps2-an500")


def missing() -> list[str]:
    """Returns the tools that are not installed."""
    return [tool for tool in (COMPILER, EMULATOR) if not shutil.which(tool)]


def build(board: Board, program: Path, path: Path, *flags: str) -> Path:
    """Links a program with the engine for a board; returns `path`."""
    subprocess.run(
        [
            *(COMPILER, f"-mcpu={board.cpu}", f"-mfpu={board.fpu}"),
            *("-mfloat-abi=hard", "-mthumb", "-std=gnu++11"),
            *("-ffunction-sections", "-fdata-sections"),
            *kernel_library.WARNINGS,
            *(f"-I{kernel_library.SOURCES}", *flags),
            *(str(program), str(HERE / "startup.cpp")),
            *kernel_library.engine_sources(),
            *("-T", str(HERE / "link.ld"), "-nostartfiles"),
            *("--specs=nano.specs", "--specs=rdimon.specs"),
            *("-Wl,--gc-sections", "-o", str(path)),
        ],
        check=True,
    )
    return path


def run(board: Board, path: Path) -> str:
    """Runs a program; returns what it prints.

    Raises:
        subprocess.CalledProcessError: If it fails, as its exit code says.
        subprocess.TimeoutExpired: If it does not end within minutes.
    """
    return subprocess.run(
        [
            *(EMULATOR, "-M", board.machine, "-nographic"),
            *("-monitor", "none", "-serial", "none", "-icount", "shift=0"),
            *("-semihosting-config", "enable=on,target=native"),
            *("-kernel", str(path)),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    ).stdout
