"""Drivers of flash, against stand-ins that bear what real flash does."""

import subprocess

import kernel_library
from model_view import DEVICE, HERE, STRICT, build

STORAGE, TOO_SMALL = -11, -1


def test_both_slots_are_written_erased_and_bounded(compiler, tmp_path):
    path = tmp_path / "board_storage"
    # What the program leaves of 64 KB are 16.
    end = "-DFLASHIAP_APP_ROM_END_ADDR=0x0800C000u"
    include = [f"-I{HERE / 'esp'}", f"-I{HERE / 'arduino/variants/flash'}"]
    flags = ["-std=gnu++11", *kernel_library.SANITIZE, *STRICT, *DEVICE]
    flags += ["-fno-sanitize-recover=all", end, *include]
    build(compiler, path, *flags, HERE / "board_storage.cpp")
    output = subprocess.check_output([path], text=True)
    rows = [line.split() for line in output.splitlines()]
    assert [(row[0], *map(int, row[1:])) for row in rows] == [
        # Two slots of three sectors.
        ("large", TOO_SMALL, 6 * 4096, 4 * 4096, 2 * 4096),
        ("small", 0, 0, 0, 0),
        ("flash", 8192, 32, 8192, 8192),
        ("again", STORAGE, 0, 0, 0),
        ("erased", 8192),
        ("behind", STORAGE, 0, 0, 0),
        ("none", STORAGE, 0, 0, 0),
        ("large", TOO_SMALL, 10 * 4096, 8 * 4096, 2 * 4096),
        ("small", 0, 0, 0, 0),
        ("partition", 16384, 16, 16384, 16384),
        ("again", STORAGE, 0, 0, 0),
        ("erased", 16384),
        ("behind", STORAGE, 0, 0, 0),
    ]
