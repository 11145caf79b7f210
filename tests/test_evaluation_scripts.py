"""Runs evaluate.py and report.py as a user does, and stops them as one does."""

import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time

import pytest
from evaluation_sources import save_images, save_net

from keras_tinytrain.evaluation import read_records
from keras_tinytrain.evaluation.records import RecordsFile

ROOT = pathlib.Path(__file__).parents[1]


def start(script, *flags, **options):
    """Starts an example."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, ROOT / "examples" / script, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        **options,
    )


def finish(process):
    """Waits for an example; returns its exit code and what it wrote."""
    output, error = process.communicate(timeout=120)
    return process.returncode, output, error


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Flags of a small evaluation."""
    folder = tmp_path_factory.mktemp("evaluation")
    return [
        f"--nets={save_net(folder / 'tiny.keras')}",
        f"--datasets={save_images(folder / 'birds')},fungi",
        "--methods=none,tinytrain",
        "--image_size=16",
        "--max_way=5",
        "--memory=16KB",
        "--macs=0.6",
        "--steps=2",
        "--processes=1",
        f"--records={folder / 'records.jsonl'}",
    ]


@pytest.fixture(scope="module", autouse=True)
def no_data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        empty = str(tmp_path_factory.mktemp("empty"))
        patch.setenv("KERAS_TINYTRAIN_DATA", empty)
        patch.setenv("TFDS_DATA_DIR", empty)
        yield


def children(pid):
    """Lists the processes that a process has started."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(n) for file in tasks for n in file.read_text().split()]


def wait_for(path, count, process):
    """Waits for a file of so many lines."""
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


def wait_until_gone(pids):
    """Waits for the end of processes that are told to end."""
    end = time.monotonic() + 20
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.1)


def is_running(pid):
    """Whether a process is there and not just waiting to be forgotten."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_run_that_is_stopped_goes_on(flags, tmp_path):
    """A kill reaches one process, and Ctrl-C all those of a terminal.

    Another run on the same file, meanwhile, is refused and disturbs nothing.
    """
    path = tmp_path / "records.jsonl"
    flags = [*flags[:-1], f"--records={path}", "--episodes=5000"]
    killed = start("evaluate.py", *flags)
    wait_for(path, 6, killed)
    workers = children(killed.pid)
    assert workers
    killed.kill()
    _, _, error = finish(killed)
    wait_until_gone(workers)
    assert "Traceback" not in error
    before = read_records(path).episodes
    assert len(before) >= 4

    stopped = start("evaluate.py", *flags, start_new_session=True)
    wait_for(path, len(before) + 3, stopped)
    code, _, error = finish(start("evaluate.py", *flags))
    assert code == 1
    assert "no other run writes" in error
    assert "Traceback" not in error
    wait_for(path, len(before) + 6, stopped)
    workers = children(stopped.pid)
    os.killpg(stopped.pid, signal.SIGINT)
    code, output, error = finish(stopped)
    wait_until_gone(workers)
    assert code == 130
    assert "Stopped. The same command goes on" in output
    assert "Not available, left out: fungi. Expected" in error
    assert "Traceback" not in error
    assert "s/episode" not in error  # No display without a terminal.
    after = read_records(path)
    assert after.episodes[: len(before)] == before
    assert after.missing == ["fungi"]
    numbers = sorted((r["episode"], r["method"]) for r in after.episodes)
    assert len(set(numbers)) == len(numbers)
    with RecordsFile(path, after.protocol) as file:  # The lock is gone.
        assert file.records == after
    check_report(path, tmp_path / "report")


def test_a_disk_that_fills_up_loses_nothing(flags, tmp_path):
    """Room for a few records; with more of it the same command goes on."""
    path = tmp_path / "records.jsonl"
    flags = [*flags[:-1], f"--records={path}", "--episodes=3"]
    process = start("evaluate.py", *flags)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2000, 2000))
    code, _, error = finish(process)
    assert code == 1
    assert f"Expected to add a line to '{path}'" in error
    assert "are safe; make room and run the same again" in error
    assert "Traceback" not in error
    data = path.read_bytes()
    before = read_records(path).episodes
    assert data.endswith(b"}\n")
    assert 0 < len(before) < 6

    code, output, error = finish(start("evaluate.py", *flags))
    assert code == 0, error
    assert re.search(r"^6 records: .*; cores \d+ % busy$", output, re.M)
    assert path.read_bytes().startswith(data)


def check_report(path, folder):
    """Runs report.py on records."""
    code, output, error = finish(
        start("report.py", f"--records={path}", f"--folder={folder}")
    )
    assert code == 0, error
    names = {file.name for file in folder.iterdir()}
    assert {"report.html", "report.md", "report.csv"} < names
    for name in names:
        assert name in output
    text = (folder / "report.md").read_text()
    assert "| TinyTrain |" in text
    assert "not available" in text


@pytest.mark.parametrize(
    ("script", "flag", "message"),
    [
        ("evaluate.py", "--shot=7", "too few images in: class0"),
        ("report.py", "--records=gone.jsonl", "No such file"),
    ],
)
def test_bad_flags_are_named(flags, script, flag, message):
    known = flags if script == "evaluate.py" else []
    code, _, error = finish(start(script, *known, flag))
    assert code == 1
    assert message in error
    assert "Traceback" not in error
