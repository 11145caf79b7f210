import json
import sys

import pytest
from evaluation_sources import save_images, save_net

from keras_tinytrain.evaluation import Protocol, evaluate
from keras_tinytrain.evaluation.beam import run_on_beam
from keras_tinytrain.evaluation.worker import TIMES

PROTOCOL = Protocol(
    image_size=16, steps=2, max_way=6, memory="16KB", macs=0.6, query=4
)


def lines(path):
    """The lines of a records file, sorted and without times."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(
        json.dumps({k: v for k, v in record.items() if k not in TIMES})
        for record in found
    )


def test_beam_makes_the_same_records(tmp_path):
    """Several processes of Beam's local runner, against our own."""
    pytest.importorskip("apache_beam", reason="needs the extra [beam]")
    nets = [save_net(tmp_path / "tiny.keras")]
    datasets = [save_images(tmp_path / "birds")]
    for name, runner in (("plain", None), ("beam", "DirectRunner")):
        found = evaluate(
            tmp_path / f"{name}.jsonl",
            nets=nets,
            datasets=datasets,
            methods=["none", "tinytrain"],
            episodes=3,
            protocol=PROTOCOL,
            processes=2,
            runner=runner,
        )
        assert len(found.episodes) == 6
    plain, beam = (lines(tmp_path / f"{n}.jsonl") for n in ("plain", "beam"))
    assert plain == beam


def test_an_unknown_runner_is_refused():
    records = run_on_beam([], PROTOCOL, runner="Flink", processes=1)
    with pytest.raises(ValueError, match=r"one of .*FlinkRunner.*'Flink'"):
        next(records)


def test_without_beam_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    records = run_on_beam([], PROTOCOL, runner="FlinkRunner", processes=1)
    with pytest.raises(ImportError, match=r"keras_tinytrain\[beam\]"):
        next(records)
