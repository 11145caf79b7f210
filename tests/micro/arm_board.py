"""Builds programs for an emulated Cortex-M and runs them in QEMU."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import kernel_library
import pytest

HERE = Path(__file__).parent / "arm"
TOOLS = "arm-none-eabi-"
COMPILER = f"{TOOLS}g++"
EMULATOR = "qemu-system-arm"


class Board(NamedTuple):
    """A core with single-precision FPU, and the machine QEMU has it in.

    At `storage` there are 16 MB of memory besides those of the linker script.
    """

    cpu: str
    fpu: str
    machine: str
    storage: int

    @property
    def flags(self) -> tuple[str, ...]:
        core = f"-mcpu={self.cpu}", f"-mfpu={self.fpu}"
        return *core, "-mfloat-abi=hard", "-mthumb", "-std=gnu++11"


M4 = Board("cortex-m4", "fpv4-sp-d16", "mps2-an386", 0x21000000)
M7 = Board("cortex-m7", "fpv5-sp-d16", "mps2-an500", 0x60000000)


def missing() -> list[str]:
    """Returns the tools that are not installed."""
    return [tool for tool in (COMPILER, EMULATOR) if not shutil.which(tool)]


def demand() -> None:
    """Skips a test without the tools, or fails where they are demanded."""
    if not missing():
        return
    message = f"Not installed: {', '.join(missing())}."
    if os.environ.get("TINYTRAIN_REQUIRE_ARM"):
        pytest.fail(message)
    pytest.skip(f"{message} `make test-arm` demands them.")


def engine(board: Board, folder: Path, *flags: str) -> Path:
    """Compiles the engine for a board, unless it is in the folder already.

    Args:
        board: The board.
        folder: Where the archive is, or comes.
        *flags: How to compile.
    """
    flags = (
        *board.flags,
        *("-ffunction-sections", "-fdata-sections"),
        *(*kernel_library.WARNINGS, f"-I{kernel_library.SOURCES}", *flags),
    )
    digest = hashlib.sha256(" ".join(flags).encode()).hexdigest()[:16]
    path = folder / f"engine-{board.cpu}-{digest}.a"
    if path.exists():
        return path
    sources = kernel_library.engine_sources()
    names = {Path(source).name for source in sources}
    assert len(names) == len(sources), "Objects need names of their own."
    with tempfile.TemporaryDirectory(dir=folder) as objects:
        command = [COMPILER, *flags, "-c", *sources]
        subprocess.run(command, cwd=objects, check=True)
        partial = Path(objects, "engine.a")
        parts = sorted(map(str, Path(objects).glob("*.o")))
        command = [f"{TOOLS}gcc-ar", "rcs", str(partial), *parts]
        subprocess.run(command, check=True)
        partial.rename(path)  # Another test process may do the same.
    return path


def build(
    board: Board,
    program: Path,
    path: Path,
    *flags: str,
    memory: str = "memory_4m.ld",
    folder: Path | None = None,
) -> Path:
    """Links a program with the engine for a board.

    Args:
        board: The board.
        program: Its source.
        path: Where the program comes.
        *flags: For compiler and linker. Those that begin with -O or -f are
            for the engine too.
        memory: Linker script of the memory.
        folder: Where compiled engines are kept, that of `path` if None.

    Returns:
        `path`.

    Raises:
        subprocess.CalledProcessError: If it cannot be built, as when memory
            is too small, with what the tools say.
    """
    shared = [flag for flag in flags if flag.startswith(("-O", "-f"))]
    archive = engine(board, folder or path.parent, *shared)
    subprocess.run(
        [
            *(COMPILER, *board.flags, "-ffunction-sections", "-fdata-sections"),
            *kernel_library.WARNINGS,
            *(f"-I{kernel_library.SOURCES}", f"-I{HERE}"),
            *("-Wl,--gc-sections", *flags),
            *(str(program), str(HERE / "startup.cpp"), str(archive)),
            *("-T", str(HERE / memory), "-T", str(HERE / "link.ld")),
            *("-nostartfiles", "--specs=nano.specs", "--specs=rdimon.specs"),
            *("-o", str(path)),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return path


def command(board: Board, path: Path) -> list[str]:
    """Returns how to run a program, with our input and output."""
    return [
        *(EMULATOR, "-M", board.machine, "-nographic"),
        *("-monitor", "none", "-serial", "none", "-icount", "shift=0"),
        *("-semihosting-config", "enable=on,target=native"),
        *("-kernel", str(path)),
    ]


def run(board: Board, path: Path) -> str:
    """Runs a program; returns what it prints.

    Raises:
        subprocess.CalledProcessError: If it fails, as its exit code says.
        subprocess.TimeoutExpired: If it does not end within minutes.
    """
    try:
        return serve(board, path, b"").decode()
    except subprocess.CalledProcessError as error:
        error.stdout = error.stdout.decode()
        error.stderr = error.stderr.decode()
        raise


def serve(board: Board, path: Path, data: bytes) -> bytes:
    """Does what `run` does with a program that reads `data`."""
    return subprocess.run(
        command(board, path),
        check=True,
        capture_output=True,
        input=data,
        timeout=300,
    ).stdout
