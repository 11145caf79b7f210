"""Damaged blobs under sanitizers, and what the view asks of a device."""

import subprocess

import pytest
from model_view import DEVICE, FILES, FLAWS, HERE, SEEDS, STRICT, build


@pytest.fixture(scope="module")
def damage(compiler, tmp_path_factory):
    """Returns what became of every damage, by seed: counts by flaw."""
    path = tmp_path_factory.mktemp("damage") / "damage"
    sanitizers = "-fsanitize=address,undefined"
    flags = ["-std=gnu++11", "-g", "-O1", sanitizers]
    flags += ["-fno-sanitize-recover=all", *STRICT]
    build(compiler, path, *flags, HERE / "damage_model.cpp", *FILES)
    found = {}
    for seed in SEEDS:
        output = subprocess.check_output([path, seed], text=True)
        lines = (line.split() for line in output.splitlines())
        found[seed] = {
            line[0]: dict(zip(FLAWS, map(int, line[1:]), strict=True))
            for line in lines
        }
    return found


def test_no_truncation_and_no_flipped_bit_is_accepted(damage):
    for seed, counts in damage.items():
        size = seed.stat().st_size
        assert counts["whole"]["kNone"] == 1
        assert counts["truncated"]["kTruncated"] == size
        assert sum(counts["truncated"].values()) == size
        assert counts["flipped"]["kNone"] == 0
        assert sum(counts["flipped"].values()) == 8 * size


def test_damage_under_a_right_checksum_reaches_every_check(damage):
    """The sanitizers saw no access outside, accepted or not."""
    reached = {
        flaw
        for counts in damage.values()
        for flaw, count in counts["sealed"].items()
        if count
    }
    # Where the bytes lie is not damaged, and a count alone not its size.
    assert reached == set(FLAWS) - {"kMisaligned", "kCount"}


@pytest.mark.parametrize("standard", ["gnu++11", "gnu++17"])
def test_it_compiles_for_old_and_new_cores(standard, compiler, tmp_path):
    for file in [*FILES, HERE / "fuzz" / "fuzz_model.cpp"]:
        flags = [f"-std={standard}", "-Os", "-c", *STRICT, *DEVICE]
        build(compiler, tmp_path / "object.o", *flags, file)


def test_it_keeps_nothing_and_asks_for_nothing(compiler, tmp_path):
    """No heap, no static state: of a library it takes `memcpy` at most."""
    symbols = ""
    for file in FILES:
        flags = ["-std=gnu++11", "-Os", "-c", *DEVICE]
        path = build(compiler, tmp_path / f"{file.stem}.o", *flags, file)
        symbols += subprocess.check_output(["nm", "-C", path], text=True)
    kinds = {}
    for line in symbols.splitlines():
        kind, name = line[16:].strip().split(" ", 1)
        kinds.setdefault(kind, set()).add(name)
    assert not set(kinds) & set("BbDdCGgSs")
    needed = {n for n in kinds["U"] if not n.startswith("tinytrain::")}
    assert needed <= {"memcpy", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
