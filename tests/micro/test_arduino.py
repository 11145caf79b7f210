"""The Arduino library: its fields, and its examples as the IDE builds them."""

import re
import shutil
import subprocess

import pytest
import sketches

LIBRARY = sketches.LIBRARY
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


def test_keywords_have_what_the_examples_call():
    lines = (LIBRARY / "keywords.txt").read_text().splitlines()
    known = {line.split("\t")[0] for line in lines}
    for path in sketches.EXAMPLES.rglob("*.ino"):
        text = path.read_text()
        calls = set(re.findall(r"(?:trainer|model|session)\.([A-Z]\w+)", text))
        types = set(re.findall(r"tinytrain::([A-Z]\w+) ", text))
        assert (calls | types) <= known, path.name


def test_the_readme_has_all_examples_and_codes():
    text = (LIBRARY / "README.md").read_text()
    for path in sketches.EXAMPLES.iterdir():
        assert f"| `{path.name}` |" in text
    status = (LIBRARY / "src" / "tinytrain" / "status.h").read_text()
    codes = {int(n) for n in re.findall(r"= (-\d+),", status)}
    rows = re.findall(r"^\| ((?:-\d+(?:, )?)+) \|", text, re.MULTILINE)
    told = [int(n) for row in rows for n in row.split(", ")]
    assert sorted(told) == sorted(codes)


@pytest.fixture(params=sketches.BOARDS)
def board(request):
    return request.param


def test_personalize_tail_learns(tmp_path, board):
    lines = sketches.run(board, "PersonalizeTail", tmp_path).splitlines()
    losses = [int(x.split()[-1]) for x in lines if x.startswith("loss")]
    assert losses[-1] < losses[0] / 2
    assert int(lines[-1].removeprefix("right of 30: ")) >= 27


def test_measure_step_tells_bytes_and_milliseconds(tmp_path, board):
    """Of the header; a call that takes nothing is no number."""
    lines = sketches.run(board, "MeasureStep", tmp_path).splitlines()
    parts = [line.rsplit(": ", 1) for line in lines]
    found = {what: number.split() for what, number in parts}
    header = (LIBRARY / "examples" / "MeasureStep" / "digits.h").read_text()
    for what in ("persistent", "work", "sample"):
        name = f"TINYTRAIN_DIGITS_{what.upper()}_BYTES"
        number = re.search(rf"{name} (\d+)", header)[1]
        assert found[what] == [number, "bytes"]
    blob = re.search(r"tinytrain_digits\[(\d+)\]", header)[1]
    assert found["blob, in flash"] == [blob, "bytes"]
    times = {k: v[0] for k, v in found.items() if v[1:] == ["ms"]}
    for call in ("observe", "score", "select and plan", "update", "predict"):
        assert re.fullmatch(r"\d+\.\d{3}", times[call])
    # Forward and backward, of instructions that the emulator counts.
    assert float(times["step of one example"]) > float(times["predict"])


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
