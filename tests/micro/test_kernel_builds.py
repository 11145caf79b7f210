"""The same bits from every build; no byte out of place under sanitizers."""

import os
import subprocess
import sys
from pathlib import Path

import arm_board
import kernel_library
import pytest

HERE = Path(__file__).parent


def bits_of_host(build_folder, name, *flags):
    """Returns what print_bits.cpp prints when built with `flags`."""
    if kernel_library.compiler() is None:
        pytest.skip("There is no C++ compiler (g++) to build the kernels with.")
    path = build_folder / f"bits_{name}_{os.getpid()}"
    subprocess.run(
        [
            *(kernel_library.compiler(), *kernel_library.WARNINGS, *flags),
            *(f"-I{kernel_library.SOURCES}", str(HERE / "print_bits.cpp")),
            *(*kernel_library.engine_sources(), "-o", str(path)),
        ],
        check=True,
    )
    return subprocess.run(
        [path], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def expected(build_folder):
    return bits_of_host(build_folder, "plain", "-std=gnu++11", "-O0")


@pytest.mark.parametrize(
    "flags",
    [
        ("-std=gnu++17", "-O3", "-march=native", "-ffp-contract=fast"),
        (*kernel_library.SANITIZE, "-fno-sanitize-recover"),
    ],
    ids=["fast", "sanitized"],
)
def test_flags_change_no_bit(build_folder, expected, flags):
    assert len(expected.splitlines()) > 80
    assert bits_of_host(build_folder, flags[0], *flags) == expected


@pytest.mark.parametrize(
    ("board", "flags"),
    [
        (arm_board.M4, ("-Os", "-ffp-contract=fast")),
        (arm_board.M7, ("-O2", "-ffp-contract=off")),
    ],
    ids=["m4", "m7"],
)
def test_cortex_m_computes_the_same_bits(build_folder, expected, board, flags):
    arm_board.demand()
    path = build_folder / f"bits_{board.cpu}_{os.getpid()}.elf"
    arm_board.build(board, HERE / "print_bits.cpp", path, *flags)
    assert arm_board.run(board, path) == expected


def test_convolutions_sanitized(build_folder):
    """Runs what needs no TensorFlow in a process.

    The runtime of AddressSanitizer has to come first there, so that what
    NumPy allocates lies between its red zones. TensorFlow is not imported.
    """
    if kernel_library.compiler() is None:
        pytest.skip("There is no C++ compiler (g++) to build the kernels with.")
    library = kernel_library.build(
        build_folder / "kernels_sanitized.so", *kernel_library.SANITIZE
    )
    runtimes = [
        subprocess.run(
            [kernel_library.compiler(), f"-print-file-name={name}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "no:xdist", f"--confcutdir={HERE}"),
            str(HERE / "test_convolution_reference.py"),
            str(HERE / "test_int8_reference.py"),
            str(HERE / "test_arena.py"),
        ],
        env={
            **os.environ,
            "LD_PRELOAD": " ".join(runtimes),
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "halt_on_error=1,print_stacktrace=1",
            "TINYTRAIN_KERNELS": str(library),
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
