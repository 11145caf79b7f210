import dataclasses
import io
import itertools
import json
import multiprocessing
import os
import random
import signal
import threading

import numpy as np
import pytest
from evaluation_sources import save_images, save_net

from keras_tinytrain import quantize, sample_episode, unwrap, wrap
from keras_tinytrain.evaluation import Protocol, evaluate, read_records
from keras_tinytrain.evaluation.channels import from_text
from keras_tinytrain.evaluation.pool import run_jobs
from keras_tinytrain.evaluation.progress import Progress
from keras_tinytrain.evaluation.protocol import Data, plan_jobs
from keras_tinytrain.evaluation.records import KEY, RecordsFile
from keras_tinytrain.evaluation.representative import representative_images
from keras_tinytrain.evaluation.sources import find_datasets, find_nets
from keras_tinytrain.evaluation.worker import (
    TIMES,
    Worker,
    build_net,
    load_dataset,
)

PROTOCOL = Protocol(
    image_size=16, steps=2, max_way=6, memory="16KB", macs=0.6, query=4
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A net, and two folders of images."""
    folder = tmp_path_factory.mktemp("sources")
    return {
        "nets": [save_net(folder / "tiny.keras")],
        "datasets": [
            save_images(folder / "birds"),
            save_images(folder / "signs", seed=1),
        ],
    }


@pytest.fixture(scope="module")
def jobs(sources):
    methods = ["none", "lastlayer", "tinytrain"]
    nets = find_nets(sources["nets"], "imagenet", methods, PROTOCOL)
    data, absent = find_datasets(sources["datasets"], PROTOCOL, 3)
    assert not absent
    return plan_jobs(nets, data, methods, episodes=2, seed=3)


@pytest.fixture(scope="module")
def records(jobs):
    """What one worker makes of all jobs, in order."""
    worker = Worker(PROTOCOL)
    return [worker.run(job) for job in jobs]


def lines(records):
    """Records as a file has them, sorted and without times."""
    kept = [{k: v for k, v in r.items() if k not in TIMES} for r in records]
    return sorted(json.dumps(record) for record in kept)


def test_jobs_go_episode_by_episode(jobs):
    assert len(jobs) == len({job.key for job in jobs}) == 12
    assert [job.episode for job in jobs] == [0] * 6 + [1] * 6
    assert [job.method for job in jobs[:3]] == [
        "none",
        "lastlayer",
        "tinytrain",
    ]
    assert len({job.dataset for job in jobs[:3]}) == 1
    net, weights, precision, *rest = jobs[0].key
    assert net == "tiny"
    assert weights.startswith("sha256:")
    assert precision == "float32"
    assert rest == ["birds", "none", 3, 0]


def test_budgets_are_the_published_ones_unless_said():
    budget = Protocol().budget("mobilenet_v2")
    assert budget.memory_bytes == int(1.06 * 2**20)
    assert budget.macs == 4_900_000
    assert Protocol().budget("tiny") is None
    budget = Protocol(memory="1MB").budget("mcunet")
    assert (budget.memory_bytes, budget.macs) == (2**20, 6_510_000)
    assert Protocol(memory="1MB") == Protocol(memory=2**20)
    with pytest.raises(ValueError, match="Expected `memory`"):
        Protocol(memory="much")


def test_a_record_says_what_happened(jobs, records):
    episode = sample_episode(
        load_dataset(jobs[0].dataset, 16), seed=3, max_way=6, query=4
    )
    for job, record in zip(jobs[:3], records):
        assert tuple(list(record.values())[:7]) == job.key
        assert 0 <= record["accuracy"] <= 1
        assert record["way"] == len(episode.classes)
        assert record["support"] == len(episode.support)
        assert record["query"] == len(episode.query)
        assert record["seconds"] > 0
        assert record["budget"] == {"memory_bytes": 16384, "macs": 0.6}
        json.dumps(record)
    none, last, ours = records[:3]
    assert none["macs"] == none["trained_weights"] == 0
    assert none["channels"] == {}
    assert last["channels"] == {"last": "6:0-5"}
    assert none["selection_seconds"] is last["selection_seconds"] is None
    assert 0 < ours["selection_seconds"] < ours["seconds"]
    assert 0 < ours["memory_bytes"] <= 16384
    trained = [from_text(text)[1] for text in ours["channels"].values()]
    assert all(trained)
    # A share of the query images, not a rounded float32.
    assert ours["accuracy"] * ours["query"] == pytest.approx(
        round(ours["accuracy"] * ours["query"]), abs=1e-12
    )


def test_a_record_does_not_depend_on_what_ran_before(jobs, records):
    shuffled = random.Random(0).sample(jobs, len(jobs))
    worker = Worker(PROTOCOL)
    assert lines(records) == lines(worker.run(job) for job in shuffled)
    assert [r["cold"] for r in records] == [True] * 3 + [False] * 9


def test_processes_make_the_same_records_whatever_goes_wrong(jobs, records):
    """One worker is killed, and one episode cannot be drawn."""
    gone = Data("gone", f"{jobs[0].dataset.source}/nowhere")
    bad = dataclasses.replace(jobs[0], dataset=gone)
    notes = []
    run = run_jobs([bad, *jobs], PROTOCOL, processes=2, note=notes.append)
    found = [next(run)]
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    found += itertools.islice(run, len(jobs) - 1)
    with pytest.raises(RuntimeError, match="1 that did not") as error:
        next(run)
    assert lines(found) == lines(records)
    assert "FileNotFoundError" in str(error.value)
    assert len(notes) == 2
    assert notes[0].startswith("Failed: ('tiny', 'sha256")
    assert "died with exit code -9; again: ('tiny', 'sha256" in notes[1]
    assert not multiprocessing.active_children()


def test_a_run_goes_on_where_it_was_stopped(sources, records, tmp_path):
    """Whole lines stay as they are; the half one is done again."""

    def run(methods):
        return evaluate(
            path,
            **sources,
            methods=methods,
            episodes=2,
            seed=3,
            processes=1,
            protocol=PROTOCOL,
        ).episodes

    path = tmp_path / "records.jsonl"
    with RecordsFile(path, PROTOCOL.to_json()) as file:
        for record in records[:10]:
            file.add(record)
    path.write_bytes(path.read_bytes()[:-9])
    found = run(["none", "lastlayer", "tinytrain"])
    assert found[:9] == records[:9]
    assert lines(found) == lines(records)
    assert read_records(path).episodes == found
    # All is there: no process starts.
    data = path.read_bytes()
    assert run(["none"]) == found
    assert path.read_bytes() == data


def test_both_precisions_share_a_file(sources, records, tmp_path):
    """Int8 episodes are the same tasks, and neither runs twice."""
    path = tmp_path / "records.jsonl"
    birds, signs = sources["datasets"]
    protocol = dataclasses.replace(PROTOCOL, representative=signs)

    def run(precision):
        return evaluate(
            path,
            nets=sources["nets"],
            datasets=[birds],
            methods=["none", "tinytrain"],
            episodes=1,
            seed=3,
            precision=precision,
            protocol=protocol,
            processes=1,
        ).episodes

    plain = run("float32")
    assert lines(plain) == lines([records[0], records[2]])
    both = run("int8")
    assert both[:2] == plain
    for before, after in zip(plain, both[2:]):
        same = {k for k in before if before[k] == after[k]}
        assert {*KEY, "way", "support", "query"} - same == {"precision"}
        assert after["precision"] == "int8"
    data = path.read_bytes()
    assert run("int8") == run("float32") == both
    assert path.read_bytes() == data


def test_scales_follow_from_images_of_the_source(sources):
    """Always the same ones, and those of no task that is evaluated."""
    signs = sources["datasets"][1]
    images = representative_images(signs, 16)
    assert images.shape == (36, 16, 16, 3)  # All that there are.
    np.testing.assert_array_equal(images, representative_images(signs, 16))
    net = dataclasses.replace(
        find_nets(sources["nets"], "imagenet", [], PROTOCOL)[0],
        precision="int8",
    )
    protocol = dataclasses.replace(PROTOCOL, representative=signs)
    plain, int8 = (
        build_net(dataclasses.replace(net, precision=p), protocol)
        for p in ("float32", "int8")
    )
    expected = unwrap(quantize(wrap(plain), images))
    for a, b in zip(int8.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    found = int8.predict(images, verbose=0)
    np.testing.assert_array_equal(found, expected.predict(images, verbose=0))
    assert np.corrcoef(found.ravel(), plain(images).numpy().ravel())[0, 1] > 0.9


def test_bad_precision_is_said_before_anything_runs(refuse, monkeypatch):
    assert "Expected precision to be one of" in refuse(precision="int4")
    monkeypatch.delenv("KERAS_TINYTRAIN_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", "/nowhere")
    message = refuse(FileNotFoundError, precision="int8")
    assert "'mini_imagenet_train'" in message
    assert "`representative` names another dataset" in message


def test_a_method_that_int8_has_not_is_named(refuse, sources):
    protocol = dataclasses.replace(
        PROTOCOL, representative=sources["datasets"][1]
    )
    message = refuse(
        precision="int8",
        datasets=sources["datasets"][:1],
        methods=["none", "tinytl"],
        protocol=protocol,
    )
    assert "(Method 'tinytl', int8 net.)" in message


def test_scales_of_the_queries_are_refused(refuse, sources):
    protocol = dataclasses.replace(
        PROTOCOL, representative=sources["datasets"][0]
    )
    message = refuse(precision="int8", protocol=protocol)
    assert "Received: 'birds' for both" in message


def test_an_episode_that_kills_its_worker_twice_is_an_error(jobs):
    stop = threading.Event()

    def kill():
        while not stop.wait(0.02):
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    notes = []
    try:
        with pytest.raises(RuntimeError, match="Expected every episode") as e:
            list(run_jobs(jobs[:1], PROTOCOL, processes=2, note=notes.append))
    finally:
        stop.set()
        thread.join()
    assert "1 that did not" in str(e.value)
    assert "died with exit code -9" in str(e.value)
    assert len(notes) == 2
    assert not multiprocessing.active_children()


@pytest.fixture
def refuse(sources, tmp_path):
    """Asks for what must be refused; returns the message."""

    def ask(error=ValueError, **options):
        options = {
            **sources,
            "methods": ["none"],
            "protocol": PROTOCOL,
            **options,
        }
        with pytest.raises(error) as raised:
            evaluate(tmp_path / "records.jsonl", **options)
        return str(raised.value)

    return ask


def test_what_is_recorded_outlives_every_refusal(refuse, records, tmp_path):
    path = tmp_path / "records.jsonl"
    with RecordsFile(path, PROTOCOL.to_json()) as file:
        for record in records:
            file.add(record)
    data = path.read_bytes()
    for error, options in (
        (ValueError, {"methods": ["none", "tinytrian"]}),
        (ValueError, {"datasets": ["omniglott"]}),
        (ValueError, {"nets": ["mcunett"]}),
        (ValueError, {"protocol": Protocol(image_size=16, way=5, shot=5)}),
        (ValueError, {"protocol": dataclasses.replace(PROTOCOL, steps=3)}),
        (OSError, {"nets": ["gone.keras"]}),
        (ValueError, {"runner": "Flink"}),
    ):
        assert "Expected" in refuse(error, **options)
        assert path.read_bytes() == data
        assert read_records(path).episodes == records


def test_records_of_another_version_are_left_alone(refuse, tmp_path):
    path = tmp_path / "records.jsonl"
    text = '{"format": "keras_tinytrain.records", "version": 2}\n{"new": 1}\n'
    path.write_text(text)
    message = refuse()
    assert "version=2. Give another file, or use the version of" in message
    assert path.read_text() == text


def test_unknown_names_are_told_the_nearest_first(refuse):
    assert "one of: tinytrain, " in refuse(methods=["tinytrian"])
    assert "nearest first: omniglot, " in refuse(datasets=["omniglott"])
    message = refuse(nets=["mcunett"], protocol=Protocol(), datasets=["fungi"])
    assert "one of ['mcunet', " in message


@pytest.mark.parametrize("names", [[], [""], ["none", ""], "none"])
@pytest.mark.parametrize("kind", ["nets", "datasets", "methods"])
def test_lists_without_a_name_are_refused(refuse, tmp_path, kind, names):
    assert f"Expected {kind} to be a list of names" in refuse(**{kind: names})
    assert not (tmp_path / "records.jsonl").exists()


def test_a_class_with_too_few_images_is_named(refuse):
    protocol = Protocol(image_size=16, way=5, shot=5)
    message = refuse(protocol=protocol)
    assert "too few images in: class0 (6 in 6 groups)" in message


def test_what_does_not_fit_is_said_before_anything_runs(refuse, tmp_path):
    assert "that no other run" not in refuse(episodes=0)
    assert "Expected processes to be" in refuse(processes=0)
    small = Protocol(image_size=16, memory="1KB", max_way=6)
    message = refuse(methods=["tinytrain"], protocol=small)
    assert "The smallest in memory takes" in message
    plain = Protocol(image_size=16, max_way=6)
    assert "Expected a budget" in refuse(methods=["tinytrain"], protocol=plain)
    assert "Expected an image_size" in refuse(
        protocol=Protocol(image_size=32, max_way=6)
    )
    assert "Expected the file" in refuse(OSError, nets=["gone.keras"])


def test_a_folder_twice_is_two_datasets_of_one_name(refuse, sources):
    assert "of different names" in refuse(datasets=sources["datasets"][:1] * 2)


def test_another_run_has_the_file(refuse, tmp_path):
    with RecordsFile(tmp_path / "records.jsonl", PROTOCOL.to_json()):
        assert "no other run writes" in refuse(BlockingIOError)


def test_a_dataset_that_is_not_there_is_written_down(
    sources, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("KERAS_TINYTRAIN_DATA", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    records = evaluate(
        tmp_path / "records.jsonl",
        nets=sources["nets"],
        datasets=["fungi"],
        methods=["none"],
        protocol=PROTOCOL,
    )
    assert records.missing == ["fungi"]
    assert records.episodes == []
    error = capsys.readouterr().err
    assert "Not available, left out: fungi. Expected the dataset" in error


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_alone():
    done = [{"method": "none", "accuracy": 0.5}]
    for stream in (Terminal(), io.StringIO()):
        progress = Progress(3, done, stream)
        progress.add({"method": "tinytrain", "accuracy": 0.75})
        line = progress.line()
        assert "] 2/3  " in line
        assert "s/episode" in line
        assert "0:00:00 left" in line
        assert line.endswith("none 50.0  tinytrain 75.0")
        progress.note("A worker died")
        progress.close()
        shown = stream.getvalue()
        assert ("2/3" in shown) == stream.isatty()
        assert "A worker died\n" in shown
