import errno
import json
import os
import pathlib
import subprocess
import sys

import pytest

from keras_tinytrain.evaluation import read_records, records
from keras_tinytrain.evaluation.channels import from_text, to_text
from keras_tinytrain.evaluation.records import RecordsFile, merge

PROTOCOL = {"way": None, "steps": 40}


def record(episode, **fields):
    return {
        "net": "mcunet",
        "weights": "imagenet",
        "precision": "float32",
        "dataset": "cub",
        "method": "none",
        "seed": 0,
        "episode": episode,
        "accuracy": 0.1 * episode,
        **fields,
    }


def run_alone(program):
    """Runs a program that imports the module without its package."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        cwd=pathlib.Path(records.__file__).parent,
        text=True,
    )


@pytest.fixture
def path(tmp_path):
    """A file of three records."""
    path = tmp_path / "new" / "records.jsonl"
    with RecordsFile(path, PROTOCOL) as file:
        for episode in range(3):
            file.add(record(episode))
        file.add_missing("fungi")
        file.add_missing("fungi")
    return path


def test_what_is_added_is_read(path):
    found = read_records(path)
    assert found.protocol == PROTOCOL
    assert found.episodes == [record(i) for i in range(3)]
    assert found.missing == ["fungi"]
    assert len(path.read_text().splitlines()) == 5


def test_it_goes_on_and_knows_what_it_has(path):
    with RecordsFile(path, PROTOCOL) as file:
        key = "mcunet", "imagenet", "float32", "cub", "none", 0
        assert (*key, 2) in file
        assert (*key, 3) not in file
        with pytest.raises(ValueError, match="Expected a new episode"):
            file.add(record(2, accuracy=0.5))
        file.add(record(3))
        file.add_missing("fungi")
    assert [r["episode"] for r in read_records(path).episodes] == [0, 1, 2, 3]
    assert read_records(path).missing == ["fungi"]


def test_records_without_precision_are_float32_and_stay_as_they_are(path):
    """Those of before there was a choice; both may be in one file."""
    old = record(0)
    del old["precision"]
    head, *_ = path.read_bytes().splitlines(keepends=True)
    data = head + json.dumps(old).encode() + b"\n"
    path.write_bytes(data)
    assert read_records(path).episodes == [record(0)]
    with RecordsFile(path, PROTOCOL) as file:
        with pytest.raises(ValueError, match="Expected a new episode"):
            file.add(record(0))
        file.add(record(0, precision="int8"))
        file.add(record(1))
    assert path.read_bytes().startswith(data)
    found = read_records(path).episodes
    assert [r["precision"] for r in found] == ["float32", "int8", "float32"]


def test_every_cut_of_the_file_can_be_gone_on_with(path):
    """Whatever a kill leaves, the records in whole lines are there."""
    data = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for length in range(len(data)):
        path.write_bytes(data[:length])
        whole = sum(end <= length for end in ends)
        with RecordsFile(path, PROTOCOL) as file:
            kept = min(max(whole - 1, 0), 3)
            assert len(file.records.episodes) == kept
            for episode in range(kept, 3):
                file.add(record(episode))
        episodes = read_records(path).episodes
        assert sorted(r["episode"] for r in episodes) == [0, 1, 2]


def test_a_growing_file_can_be_read(path):
    with path.open("a") as file:
        file.write('{"net": "mcunet", "wei')
    assert len(read_records(path).episodes) == 3
    path.write_text('{"form')
    with pytest.raises(ValueError, match="which is empty"):
        read_records(path)


def test_two_runs_do_not_write_one_file(path):
    with RecordsFile(path, PROTOCOL) as file:
        with pytest.raises(BlockingIOError, match="no other run writes"):
            RecordsFile(path, PROTOCOL)
        file.add(record(3))
        assert len(read_records(path).episodes) == 4
    RecordsFile(path, PROTOCOL).close()


def test_the_lock_ends_with_the_process(path):
    """A process that holds the file and is killed lets go of it."""
    program = (
        "import os, signal\n"
        "from records import RecordsFile\n"
        f"file = RecordsFile({str(path)!r}, {PROTOCOL!r})\n"
        "try:\n"
        f"    RecordsFile({str(path)!r}, {PROTOCOL!r})\n"
        "except BlockingIOError:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run_alone(program).returncode == -9
    RecordsFile(path, PROTOCOL).close()


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"format": "keras_tinytrain.records", "version": 2}, "version=2"),
        (record(0), "format=None"),
        ("text", "format=None"),
    ],
)
def test_records_of_another_version_are_refused(tmp_path, first, message):
    path = tmp_path / "old.jsonl"
    path.write_text(f"{json.dumps(first)}\n")
    for use in (read_records, lambda path: RecordsFile(path, PROTOCOL)):
        with pytest.raises(ValueError, match=message) as error:
            use(path)
        assert "Expected" in str(error.value)
        assert "version=1" in str(error.value)
        assert "use the version of keras_tinytrain" in str(error.value)
    assert path.read_text() == f"{json.dumps(first)}\n"


@pytest.mark.parametrize("text", ["a precious line", '{"format": "json"}'])
def test_what_is_no_records_file_is_left_as_it_is(tmp_path, text):
    path = tmp_path / "other.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match="to be a records file"):
        RecordsFile(path, PROTOCOL)
    assert path.read_text() == text


def test_another_protocol_is_refused(path):
    with pytest.raises(ValueError, match=r"steps=40\. Received: steps=20") as e:
        RecordsFile(path, {**PROTOCOL, "steps": 20})
    assert "Give the same settings, or another file" in str(e.value)
    other = path.with_name("other.jsonl")
    RecordsFile(other, {**PROTOCOL, "steps": 20}).close()
    # Nothing is lost where nothing is recorded.
    RecordsFile(other, PROTOCOL).close()
    assert read_records(other).protocol == PROTOCOL


def test_a_damaged_line_is_named(path):
    lines = path.read_text().splitlines()
    lines[2] = lines[2][:30]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="Expected line 3 of"):
        read_records(path)


def test_an_episode_that_is_there_twice_is_named(path):
    with path.open("a") as file:
        file.write(json.dumps(record(1)) + "\n")
    with pytest.raises(ValueError, match=r"every episode once .*twice"):
        read_records(path)


def test_a_device_is_no_records_file():
    with pytest.raises(ValueError, match="Expected a regular file"):
        RecordsFile("/dev/full", PROTOCOL)


def test_a_full_disk_loses_nothing(path, monkeypatch):
    """The disk takes half a line and no more."""
    before = path.read_bytes()
    real = os.write

    def write(file, data):
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[: len(data) // 2])

    with RecordsFile(path, PROTOCOL) as file:
        monkeypatch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space left") as error:
            file.add(record(3))
        assert error.value.errno == errno.ENOSPC
        assert "bytes before it are safe; make room" in str(error.value)
        assert path.read_bytes() == before
        monkeypatch.undo()
        file.add(record(3))
    assert [r["episode"] for r in read_records(path).episodes] == [0, 1, 2, 3]


def test_a_limit_of_the_system_loses_nothing(path):
    """A file that may not grow, in a process of its own."""
    size = path.stat().st_size
    program = (
        "import resource\n"
        "from records import RecordsFile\n"
        f"limit = ({size + 60}, {size + 60})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limit)\n"
        f"file = RecordsFile({str(path)!r}, {PROTOCOL!r})\n"
        f"file.add({record(3)!r})\n"
    )
    before = path.read_bytes()
    process = run_alone(program)
    assert process.returncode == 1
    assert "OSError: [Errno 27] Expected to add a line to" in process.stderr
    assert path.read_bytes() == before


def test_files_of_one_protocol_are_merged(path, tmp_path):
    other = tmp_path / "other.jsonl"
    with RecordsFile(other, PROTOCOL) as file:
        file.add(record(0, dataset="dtd"))
        file.add_missing("aircraft")
    joined = merge([read_records(path), read_records(other)])
    assert len(joined.episodes) == 4
    assert joined.missing == ["fungi", "aircraft"]
    with pytest.raises(ValueError, match="every episode once"):
        merge([read_records(path), read_records(path)])
    with pytest.raises(ValueError, match="at least one records file"):
        merge([])


@pytest.mark.parametrize(
    ("channels", "text"),
    [((), "9:"), ((3,), "9:3"), ((0, 1, 2, 5, 7, 8), "9:0-2,5,7-8")],
)
def test_channels_are_text_and_back(channels, text):
    assert to_text(9, channels) == text
    assert from_text(text) == (9, list(channels))


def test_inputs_and_biases_are_text_and_back():
    for options, text in (
        ({"by_input": True}, "in 9:0-1,4"),
        ({"by_input": True, "bias": True}, "in 9:0-1,4 bias"),
        ({"bias": True}, "9:0-1,4 bias"),
    ):
        assert to_text(9, (0, 1, 4), **options) == text
        assert from_text(text) == (9, [0, 1, 4])
    assert from_text(to_text(9, (), bias=True)) == (9, [])
