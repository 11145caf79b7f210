"""Several replicas in one process, several processes, and one that dies."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from meta_sources import EVERY, RECIPE, build_net, build_source

from keras_tinytrain.meta import Recipe, make_strategy, meta_train
from keras_tinytrain.meta.strategies import read_config

SCRIPT = pathlib.Path(__file__).with_name("meta_sources.py")
ROOT = SCRIPT.parents[1]
# Seconds, far more than needed; a test that hangs ends.
LIMIT = 300
WORKERS = {"worker": ["a:1", "b:2"]}


def free_ports(count):
    """Lists ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(*flags, config=None):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "TF_CONFIG": json.dumps(config or {}),
        # One thread each, whatever the machine has.
        "TF_NUM_INTRAOP_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def run_two(*flags, second=()):
    """Runs two workers; returns exit code and errors of each."""
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = [
        start(
            *flags,
            *(second if index else ()),
            config={
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            },
        )
        for index in range(2)
    ]
    try:
        errors = [worker.communicate(timeout=LIMIT)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [worker.returncode for worker in workers], errors


def read(folder, index=0):
    """Returns what a worker wrote: numbers of the history, and weights."""
    result = json.loads((folder / f"result{index}.json").read_text())
    numbers = [value for row in result["history"] for value in row.values()]
    return numbers, [np.array(weight) for weight in result["weights"]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process: numbers of the history, and weights."""
    net = build_net()
    history = meta_train(
        net,
        build_source(),
        folder=tmp_path_factory.mktemp("alone"),
        recipe=Recipe(**RECIPE),
        validation=build_source(seed=1),
        validation_episodes=3,
        checkpoint_every=EVERY,
        verbose=0,
    )
    numbers = [value for row in history for value in row.values()]
    return numbers, net.get_weights()


def assert_near(ours, theirs):
    """Equal but for the order of sums."""
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4)
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_two_processes_are_one(alone, tmp_path):
    """Three validation episodes do not share out evenly, and count once."""
    codes, errors = run_two(tmp_path)
    assert codes == [0, 0], errors
    assert_near(read(tmp_path), alone)
    first, second = read(tmp_path)[1], read(tmp_path, 1)[1]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "checkpoint.npz").exists()


def test_two_replicas_are_one(alone, tmp_path):
    process = start(tmp_path, "mirrored")
    _, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, error
    assert_near(read(tmp_path), alone)


def test_a_run_that_lost_a_worker_goes_on(alone, tmp_path):
    """From the checkpoint, with as many workers or another number."""
    codes, errors = run_two(tmp_path, second=["3"])
    assert codes == [1, -signal.SIGKILL]
    message = errors[0].splitlines()[-1]
    assert "RuntimeError: Expected all 2 replicas to take part in" in message
    assert "step 3, from episode 6. Received: " in message
    assert "A worker is gone; start all of them again" in message
    with np.load(tmp_path / "checkpoint.npz") as file:
        assert json.loads(file["about"].tobytes())["step"] == 2
    process = start(tmp_path)
    _, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, error
    assert_near(read(tmp_path), alone)


@pytest.mark.parametrize(
    "text", [None, "", "{}", '{"task": {"type": "worker", "index": 0}}']
)
def test_no_cluster_is_one_process(text, monkeypatch):
    assert read_config(text) is None
    monkeypatch.setenv("TF_CONFIG", text or "")
    assert make_strategy().num_replicas_in_sync == 1


def test_a_valid_cluster():
    config = {
        "cluster": {"chief": ["host.org:2222"], "worker": ["10.0.0.1:80"]},
        "task": {"type": "worker", "index": 0},
    }
    assert read_config(json.dumps(config)) == config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "no JSON: "),
        ("[1]", "no JSON object"),
        ({"cluster": WORKERS}, "no cluster and task"),
        ({"cluster": ["a:1"], "task": {}}, "no cluster and task"),
        ({"cluster": {"ps": ["a:1"]}, "task": {}}, "only workers train here"),
        ({"cluster": {"worker": []}, "task": {}}, "worker: []"),
        ({"cluster": {"worker": "a:1"}, "task": {}}, "worker: 'a:1'"),
        ({"cluster": {"worker": ["host"]}, "task": {}}, "worker: ['host']"),
        ({"cluster": {"worker": ["a:99999"]}, "task": {}}, "['a:99999']"),
        (
            {"cluster": WORKERS, "task": {"type": "chief", "index": 0}},
            "task type 'chief', not in the cluster",
        ),
        (
            {"cluster": WORKERS, "task": {"type": "worker", "index": 2}},
            "task index 2, of 0 to 1",
        ),
        (
            {"cluster": WORKERS, "task": {"type": "worker", "index": "0"}},
            "task index '0'",
        ),
    ],
)
def test_a_bad_cluster_is_named(config, message, monkeypatch, tmp_path):
    text = config if isinstance(config, str) else json.dumps(config)
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="Expected TF_CONFIG to be") as error:
        meta_train(build_net(), build_source(), folder=tmp_path)
    assert message in str(error.value)


def test_a_worker_says_so_before_anything_else(monkeypatch):
    (port,) = free_ports(1)
    config = {
        "cluster": {"worker": [f"localhost:{port}"]},
        "task": {"type": "worker", "index": 0},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    build_net()
    with pytest.raises(RuntimeError, match=r"`make_strategy\(\)` before"):
        make_strategy()
