"""The Arduino library: its fields, and its examples as the IDE builds them."""

import re
import shutil
import subprocess
from pathlib import Path

import arm_board
import pytest

HERE = Path(__file__).parent
LIBRARY = HERE.parents[1] / "micro"
HARDWARE = Path("/usr/share/arduino-builder")
BOARDS = {"m4": arm_board.M4, "m7": arm_board.M7}
CATEGORIES = (
    "Display",
    "Communication",
    "Signal Input/Output",
    "Sensors",
    "Device Control",
    "Timing",
    "Data Storage",
    "Data Processing",
    "Other",
)


def properties():
    lines = (LIBRARY / "library.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_fields_that_the_ide_reads():
    """The builder takes a file without them, so they are checked here."""
    found = properties()
    fields = ("name", "version", "author", "maintainer", "sentence")
    fields += ("paragraph", "category", "url", "architectures", "includes")
    assert sorted(found) == sorted(fields)
    assert all(found.values())
    assert re.fullmatch(r"[A-Za-z][\w. -]{0,62}", found["name"])
    assert not found["name"].lower().startswith("arduino")
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["category"] in CATEGORIES
    assert found["url"].startswith("https://")
    # g++ 5.4 has no __has_include for it, nor the memory.
    assert "avr" not in found["architectures"].split(",")
    assert (LIBRARY / "src" / found["includes"]).is_file()


def test_keywords_are_parted_by_tabs_and_are_there():
    sources = "".join(
        path.read_text() for path in (LIBRARY / "src").rglob("*.h")
    )
    lines = (LIBRARY / "keywords.txt").read_text().splitlines()
    assert len(lines) == len({*lines}) > 20
    for line in lines:
        word, kind = line.split("\t")
        assert re.search(rf"\b{word}\b", sources), word
        assert kind in ("KEYWORD1", "KEYWORD2", "LITERAL1")


def hardware(folder):
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


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    "example", [path.name for path in (LIBRARY / "examples").iterdir()]
)
def test_examples_learn_on_a_cortex_m(tmp_path, board, example):
    missing = arm_board.missing()
    missing += [t for t in ["arduino-builder"] if not shutil.which(t)]
    if missing:
        pytest.skip(f"Not installed: {', '.join(missing)}.")
    hardware(tmp_path / "hw")
    for name in ("tools", "out"):
        (tmp_path / name).mkdir()
    shutil.copytree(LIBRARY, tmp_path / "libs" / "TinyTrain")
    sketch = tmp_path / "libs" / "TinyTrain" / "examples" / example
    result = subprocess.run(
        [
            *("arduino-builder", "-compile", "-hardware", HARDWARE),
            *("-hardware", tmp_path / "hw", "-tools", tmp_path / "tools"),
            *("-libraries", tmp_path / "libs", "-fqbn", f"tiny:arm:{board}"),
            *("-build-path", tmp_path / "out", "-warnings", "all"),
            sketch / f"{example}.ino",
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "warning:" not in result.stderr
    elf = tmp_path / "out" / f"{example}.ino.elf"
    lines = arm_board.run(BOARDS[board], elf).splitlines()
    losses = [int(x.split()[-1]) for x in lines if x.startswith("loss")]
    assert losses[-1] < losses[0] / 2
    assert int(lines[-1].removeprefix("right of 30: ")) >= 27


def test_the_zip_is_the_folder(tmp_path):
    """As the IDE wants it: one folder, and no file that a build has left."""
    result = subprocess.run(
        ["make", "arduino-zip", f"BUILD={tmp_path}"],
        cwd=LIBRARY.parent,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    shutil.unpack_archive(tmp_path / "TinyTrain.zip", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["TinyTrain"]
    root = tmp_path / "out" / "TinyTrain"
    expected = {p.relative_to(LIBRARY) for p in LIBRARY.rglob("*.*")}
    assert {p.relative_to(root) for p in root.rglob("*.*")} == expected
