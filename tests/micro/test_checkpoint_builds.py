"""The checkpoints of the engine: under sanitizers, and built of little."""

import subprocess

import pytest
from checkpoint_library import CODES, FILES, FLAGS, HERE

FUZZ = HERE / "fuzz"


@pytest.fixture(scope="module")
def damage(compiler, tmp_path_factory):
    """Returns what became of every damage, by seed: counts by status."""
    path = tmp_path_factory.mktemp("damage") / "damage"
    flags = ["-g", "-O1", "-fsanitize=address,undefined"]
    flags += ["-fno-sanitize-recover=all"]
    files = [HERE / "damage_checkpoint.cpp", *FILES]
    subprocess.run([compiler, *FLAGS, *flags, *files, "-o", path], check=True)
    found = {}
    for seed in sorted((FUZZ / "checkpoint_seeds").glob("*.ttck")):
        output = subprocess.check_output(
            [path, FUZZ / "seeds" / "block.ttnb", seed], text=True
        )
        lines = (line.split() for line in output.splitlines())
        found[seed] = {
            line[0]: {
                CODES[-i]: int(count)
                for i, count in enumerate(line[1:])
                if int(count)
            }
            for line in lines
        }
    return found


def test_no_truncation_and_no_flipped_bit_is_accepted(damage):
    for seed, counts in damage.items():
        size = seed.stat().st_size
        assert counts["whole"] == {"ok": 2}
        assert counts["truncated"] == {"too small": 2 * size}
        assert "ok" not in counts["flipped"]
        assert sum(counts["flipped"].values()) == 2 * 8 * size


def test_damage_under_a_right_checksum_reaches_every_check(damage):
    """The sanitizers saw no access outside, accepted or not."""
    reached = {c for counts in damage.values() for c in counts["sealed"]}
    assert reached == {
        *("ok", "too small", "bad format", "wrong version", "corrupt"),
        *("wrong model", "not finite", "no checkpoint"),
    }


@pytest.mark.parametrize("standard", ["gnu++11", "gnu++17"])
def test_it_compiles_for_old_and_new_cores(standard, compiler, tmp_path):
    for file in [*FILES, HERE / "fuzz" / "fuzz_checkpoint.cpp"]:
        flags = [*FLAGS, f"-std={standard}", "-fno-rtti", "-Os", "-c"]
        output = tmp_path / "object.o"
        subprocess.run([compiler, *flags, file, "-o", output], check=True)


def test_it_keeps_nothing_and_asks_for_nothing(compiler, tmp_path):
    """No heap, no static state: of a library it takes `memcpy` and the like."""
    kinds = {}
    for file in FILES:
        path = tmp_path / f"{file.stem}.o"
        flags = [*FLAGS, "-fno-rtti", "-Os", "-c"]
        subprocess.run([compiler, *flags, file, "-o", path], check=True)
        symbols = subprocess.check_output(["nm", "-C", path], text=True)
        for line in symbols.splitlines():
            kind, name = line[16:].strip().split(" ", 1)
            kinds.setdefault(kind, set()).add(name)
    assert not set(kinds) & set("BbDdCGgSs")
    needed = {n for n in kinds["U"] if not n.startswith("tinytrain::")}
    assert needed <= {
        *("memcpy", "memset"),
        *("_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"),
    }
