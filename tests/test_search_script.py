"""Runs search_sparse_update.py as a user does, and kills it as one does."""

import json

import pytest
from evaluation_sources import save_images, save_net
from test_evaluation_scripts import finish, start, wait_for

import keras_tinytrain as ktt
from keras_tinytrain.evaluation import read_records
from keras_tinytrain.evaluation.protocol import Net
from keras_tinytrain.evaluation.worker import load_net


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Flags of a small search."""
    folder = tmp_path_factory.mktemp("search")
    return [
        f"--net={save_net(folder / 'tiny.keras')}",
        f"--dataset={save_images(folder / 'photographs', count=12)}",
        "--image_size=16",
        "--layers=exp*,last",
        "--ratios=0.5,1",
        "--way=3",
        "--shot=2",
        "--steps=2",
    ]


def test_a_search_that_is_killed_goes_on(flags, tmp_path):
    records, out = tmp_path / "gains.jsonl", tmp_path / "new" / "scheme.json"
    flags = [
        *flags,
        "--tasks=3",
        "--memory=4KB",
        f"--records={records}",
        f"--out={out}",
    ]
    killed = start("search_sparse_update.py", *flags)
    wait_for(records, 5, killed)
    killed.kill()
    finish(killed)
    before = read_records(records).episodes
    assert 4 <= len(before) < 3 * 7
    assert not out.exists()

    code, output, error = finish(start("search_sparse_update.py", *flags))
    assert code == 0, error
    after = read_records(records).episodes
    assert after[: len(before)] == before
    assert len(after) == 3 * 7
    assert {r["dataset"] for r in after} == {"photographs 3-way 2-shot 16 px"}
    assert "biases=1 2:1.0: " in error
    assert "Sum of measured gains: +" in output
    check_files(flags, out)


def check_files(flags, out):
    """Checks that methods take the scheme, and models the plan."""
    net = flags[0].partition("=")[2]
    net = load_net(Net("tiny", "", net), 16)
    learner = ktt.methods.build("sparseupdate", net, steps=1, scheme=out)
    model = ktt.wrap(net)
    text = out.with_suffix(".plan.json").read_text()
    plan = ktt.UpdatePlan.from_json(text)
    ktt.apply_plan(model, plan)
    assert learner.planner.plan == plan
    assert json.loads(out.read_text())["layers"] == 3


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--layers=last,lats", "'stem', 'expand', 'last'], * for any letters"),
        ("--memory=9QB", "Received: memory='9QB'"),
        ("--dataset=", "Received: 'cub', one of the paper's targets"),
    ],
)
def test_bad_flags_are_named(flags, tmp_path, flag, message):
    records = tmp_path / "gains.jsonl"
    if flag == "--dataset=":
        flag += save_images(tmp_path / "cub", count=12)
    code, _, error = finish(
        start("search_sparse_update.py", *flags, f"--records={records}", flag)
    )
    assert code == 1
    assert message in error
    assert "Traceback" not in error
    assert not records.exists()
