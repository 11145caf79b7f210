"""Counts the bytes of flash that the engine takes on a core."""

import shutil
import subprocess
from pathlib import Path

import arm_board
import kernel_library


def engine_bytes(board: arm_board.Board, folder: Path, optimize: str) -> int:
    """Returns code and constants of the engine, with all that it calls.

    Every function is linked, called or not, but those of the plain kernels,
    which are for tests.

    Args:
        board: The core.
        folder: For what is compiled.
        optimize: How the compiler optimizes.
    """
    main = folder / "main.cpp"
    main.write_text("int main() { return 0; }\n")
    archive = folder / "engine.a"
    shutil.copy(arm_board.engine(board, folder, optimize), archive)
    plain = [
        f"{Path(source).stem}.o"
        for source in kernel_library.engine_sources()
        if source.endswith("_reference.cpp")
    ]
    command = [f"{arm_board.TOOLS}gcc-ar", "d", str(archive), *plain]
    subprocess.run(command, check=True)
    sizes = []
    for flags in ((), ("-Wl,--whole-archive", str(archive))):
        path = folder / "size.elf"
        more = (*flags, "-Wl,--no-whole-archive", "-Wl,--no-gc-sections")
        arm_board.build(board, main, path, optimize, *more)
        command = [f"{arm_board.TOOLS}size", str(path)]
        listed = subprocess.run(
            command, check=True, capture_output=True, text=True
        )
        sizes.append(int(listed.stdout.split()[6]))
    return sizes[1] - sizes[0]
