"""Runs every example as a user does."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from evaluation_sources import save_images

from keras_tinytrain import methods, published

ROOT = pathlib.Path(__file__).parents[1]
FIELDS = {
    "accuracy",
    "seconds",
    "selection_seconds",
    "memory_bytes",
    "macs",
    "trained_weights",
}


def run(script, *flags):
    """Runs an example; returns the finished process."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, ROOT / "examples" / script, *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def run_json(script, *flags):
    """Runs an example; returns what its last line says, and the lines."""
    process = run(script, *flags, "--json")
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    return json.loads(lines[-1]), lines


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Flags of the demo: a backbone and images that `digits.py` made."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("digits")
    process = run("digits.py", f"--folder={folder}")
    assert process.returncode == 0, process.stderr
    assert "held out: " in process.stdout
    accuracy = process.stdout.split("held out: ")[1].split("%")[0]
    assert float(accuracy) > 90
    return (
        f"--net={folder / 'backbone.keras'}",
        f"--dataset={folder / 'digits_5_to_9'}",
        "--image_size=32",
        "--memory=256KB",
        "--macs=0.3",
    )


def test_shipped_weights_adapt_to_digits(tmp_path):
    """The demo, one task of it: no pre-training, no weights to look for."""
    pytest.importorskip("sklearn")
    process = run("digits.py", "--nopretrain", f"--folder={tmp_path}")
    assert process.returncode == 0, process.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]
    result, _ = run_json(
        "adapt.py",
        *("--net=mcunet", "--weights=meta", "--image_size=64"),
        *(f"--dataset={tmp_path / 'digits'}", "--way=10", "--shot=5"),
        *("--tasks=1", "--methods=none,tinytrain"),
        f"--figure={tmp_path / 'digits.png'}",
    )
    accuracy = {n: m["accuracy"] for n, m in result["methods"].items()}
    assert accuracy["none"] > 0.5
    assert accuracy["tinytrain"] > accuracy["none"]


def check_adapt(result, figure, *, memory, macs):
    """Checks what must hold of any comparison of all methods.

    `memory` and `macs` are the budget, the latter as a share of FullTrain.
    """
    assert set(result) == {"net", "dataset", "methods"}
    methods = result["methods"]
    assert list(methods) == ["none", "lastlayer", "full", "tinytrain"]
    for values in methods.values():
        assert set(values) == FIELDS
        assert 0 <= values["accuracy"] <= 1
        assert values["seconds"] > 0
    none, full = methods["none"], methods["full"]
    ours = methods["tinytrain"]
    assert none["macs"] == none["trained_weights"] == 0
    for name in ("none", "lastlayer", "full"):
        assert methods[name]["selection_seconds"] == 0
    assert 0 < ours["selection_seconds"] < ours["seconds"]
    assert 0 < ours["memory_bytes"] <= memory
    assert 0 < ours["macs"] <= macs * full["macs"]
    assert 0 < ours["trained_weights"] < full["trained_weights"]
    assert full["memory_bytes"] > methods["lastlayer"]["memory_bytes"]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_demo_adapts_to_new_digits(digits, tmp_path):
    figure = tmp_path / "new" / "digits.png"
    result, lines = run_json(
        "adapt.py",
        *digits,
        "--way=5",
        "--shot=5",
        "--tasks=2",
        "--seed=7",
        f"--figure={figure}",
    )
    check_adapt(result, figure, memory=256 * 1024, macs=0.3)
    accuracy = {n: m["accuracy"] for n, m in result["methods"].items()}
    assert accuracy["full"] > accuracy["none"] > 0.3
    assert accuracy["tinytrain"] > accuracy["none"]
    table = lines[next(i for i, x in enumerate(lines) if "Accuracy" in x) :]
    assert [x.split()[0] for x in table[1:5]] == list(accuracy)
    # Aligned: the numbers of a column end where its title ends.
    assert len({len(x) for x in table[:5]}) == 1


def test_adapt_draws_tasks_as_meta_dataset_does(digits, tmp_path):
    result, lines = run_json(
        "adapt.py",
        *digits,
        "--tasks=1",
        "--steps=1",
        "--methods=lastlayer",
        "--cost_model=arena",
        "--head=prototype",
        f"--figure={tmp_path / 'plan.png'}",
    )
    assert list(result["methods"]) == ["lastlayer"]
    assert "Task of seed 0: 5 classes" in lines[0]
    assert "arena cost model" in "\n".join(lines)


def test_adapt_trains_int8(digits, tmp_path):
    result, _ = run_json(
        "adapt.py",
        *digits,
        "--precision=int8",
        "--way=5",
        "--shot=5",
        "--tasks=1",
        "--methods=none,tinytrain",
        f"--figure={tmp_path / 'plan.png'}",
    )
    methods = result["methods"]
    assert methods["none"]["accuracy"] > 0.3
    assert methods["tinytrain"]["accuracy"] > methods["none"]["accuracy"]


def test_adapt_learns_omniglot_with_mcunet(tmp_path):
    for variable in ("KERAS_TINYTRAIN_DATA", "KERAS_TINYTRAIN_WEIGHTS"):
        if not os.environ.get(variable):
            pytest.skip(f"needs {variable}")
    figure = tmp_path / "omniglot.png"
    result, _ = run_json(
        "adapt.py",
        "--net=mcunet",
        "--dataset=omniglot",
        "--way=5",
        "--shot=2",
        "--tasks=2",
        "--seed=7",
        "--steps=2",
        "--methods=lastlayer,tinytrain",
        f"--figure={figure}",
    )
    assert (result["net"], result["dataset"]) == ("mcunet", "omniglot")
    methods = result["methods"]
    assert methods["lastlayer"]["trained_weights"] == 92_160
    assert methods["lastlayer"]["accuracy"] > 0.3
    assert methods["tinytrain"]["memory_bytes"] <= 0.89 * 2**20
    assert methods["tinytrain"]["macs"] <= 6_510_000
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--net=mcunot", "one of ['mcunet', "),
        ("--methods=none,tinytrian", "nearest first one of: tinytrain, "),
        ("--memory=2KB", "The smallest in memory takes "),
        ("mcunet", "Received: ['mcunet']"),
        ("--weights=imagnet", "<imagenet|meta|none>"),
    ],
)
def test_adapt_says_what_is_wrong_with_a_flag(digits, flag, message):
    process = run("adapt.py", *digits, "--methods=tinytrain", flag)
    assert process.returncode == 1
    assert message in process.stderr
    assert "Traceback" not in process.stderr


def test_costs_are_beside_the_published_ones():
    """Of the paper's net; every method with a published cost has a row."""
    net = "mobilenet_v2"
    result, lines = run_json("costs.py", f"--net={net}")
    assert set(result) == {"net", "methods"}
    assert result["net"] == net
    costs = result["methods"]
    there = {m for m in methods.names() if published.costs(net, m)}
    assert set(costs) == there
    for cost in costs.values():
        assert set(cost) == {"memory_bytes", "macs"}
    memory, macs = published.costs(net, "tinytrain")
    assert 0.9 * memory < costs["tinytrain"]["memory_bytes"] <= memory
    assert 0 < costs["tinytrain"]["macs"] <= macs
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:7]}
    assert list(rows) == [
        "full",
        "lastlayer",
        "tinytl",
        "sparseupdate",
        "tinytrain",
    ]
    assert rows["full"] == ["1045.13", "(1049)", "34.90", "(34.9)"]
    assert rows["lastlayer"] == ["1.64", "(1.64)", "0.80", "(0.8)"]
    assert rows["sparseupdate"] == ["1.73", "(2.08)", "8.46", "(8.1)"]
    assert rows["tinytl"][-1] == "(16.4)"


def test_what_is_stored_is_not_forgotten(tmp_path, monkeypatch):
    """Digits, as nothing else is there; a burst of the third comes last."""
    pytest.importorskip("sklearn")
    for name in ("KERAS_TINYTRAIN_DATA", "TFDS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    result, _ = run_json(
        "visual_wake_words.py",
        *("--stored=20,0", "--samples=60", "--image_size=48"),
        f"--out={tmp_path / 'out'}",
    )
    last = result["runs"]
    assert set(last) == {"20 features stored", "0 features stored"}
    assert last["20 features stored"]["accuracy"] > (
        last["0 features stored"]["accuracy"] + 0.1
    )
    path = tmp_path / "out" / "accuracy.jsonl"
    tests = [json.loads(line) for line in path.read_text().splitlines()]
    names = [list(test["by_class"]) for test in tests]
    assert names[0] == ["3", "5"]
    assert names[-1] == ["3", "5", "8"]
    for run, end in last.items():
        mine = [test for test in tests if test["run"] == run]
        assert [test["seen"] for test in mine] == sorted(
            {test["seen"] for test in mine}
        )
        assert mine[-1] == {"run": run, **end}
    figure = (tmp_path / "out" / "accuracy.png").read_bytes()
    assert figure.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "is not a folder"), ("few", "Received: {'class0': 6, 'cl")],
)
def test_a_stream_needs_classes_and_images(tmp_path, name, message):
    save_images(tmp_path / "few", classes=2)
    process = run("visual_wake_words.py", f"--folder={tmp_path / name}")
    assert process.returncode == 1
    assert "visual_wake_words.py: Expected" in process.stderr
    assert message in process.stderr
    assert "Traceback" not in process.stderr


def test_examples_are_short():
    for path in (ROOT / "examples").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 150, path.name
