"""TinyTrain against each other method, like with like."""

import random

import pytest
from report_records import NET, PROTOCOL, record, row

from keras_tinytrain.evaluation.records import Records
from keras_tinytrain.report import Summary, write_report
from keras_tinytrain.report.comparison import claim_table, difference_table
from keras_tinytrain.report.means import Mean, mean_of, mean_over
from keras_tinytrain.report.pairs import (
    average_difference,
    compared,
    difference,
)
from keras_tinytrain.report.versions import version_tables

RIVALS = ("full", "tinytl", "sparseupdate")


def summarize(values, net=NET, missing=(), **fields):
    """Summary of accuracies by method and dataset, episode by episode."""
    episodes = [
        record(method, dataset, i, accuracy, net, **fields)
        for (method, dataset), accuracies in values.items()
        for i, accuracy in enumerate(accuracies)
    ]
    return Summary(Records(PROTOCOL, episodes, list(missing)))


VALUES = {
    ("tinytrain", "cub"): (0.8, 0.9),
    ("tinytrain", "omniglot"): (0.5, 0.7),
    ("none", "cub"): (0.5, 0.7),
    ("none", "omniglot"): (0.4, 0.4),
    ("full", "cub"): (0.7, 0.9, 0.8),
}


def test_differences_are_taken_within_an_episode():
    summary = summarize(VALUES)
    # 30 and 20 points: standard deviation sqrt(50), over sqrt(2): 5.
    cub = difference(summary, NET, "none", "cub")
    assert (cub.value, cub.count) == (pytest.approx(25), 2)
    assert cub.interval == pytest.approx(1.96 * 5)
    # 10 and 30 points: twice as far apart.
    omniglot = difference(summary, NET, "none", "omniglot")
    assert omniglot.value == pytest.approx(20)
    assert omniglot.interval == pytest.approx(1.96 * 10)
    mean = average_difference(summary, NET, "none")
    assert (mean.value, mean.count) == (pytest.approx(22.5), 4)
    assert mean.interval == pytest.approx(1.96 * 125**0.5 / 2)
    assert difference(summary, NET, "none", "dtd") is None
    assert compared(summary, NET) == ["none", "full"]


def test_episodes_of_one_method_alone_do_not_count():
    summary = summarize(VALUES)
    cub = difference(summary, NET, "full", "cub")
    assert (cub.value, cub.count) == (pytest.approx(5), 2)
    assert average_difference(summary, NET, "full") is None  # One of two.
    other = record("full", "cub", 0, 0.1, seed=1)
    more = Records(PROTOCOL, [*summary.records(NET, "full"), other])
    more.episodes += summary.records(NET, "tinytrain")
    assert difference(Summary(more), NET, "full", "cub") == cub


def test_how_hard_an_episode_is_drops_out():
    """The interval is that of the differences, not of the accuracies."""
    draw = random.Random(0)
    ours, theirs = ([draw.random() for _ in range(8)] for _ in range(2))
    hard = [draw.random() for _ in range(8)]
    plain, shifted = (
        difference(
            summarize(
                {
                    ("tinytrain", "cub"): [a - b for a, b in zip(ours, off)],
                    ("full", "cub"): [a - b for a, b in zip(theirs, off)],
                }
            ),
            NET,
            "full",
            "cub",
        )
        for off in ([0] * 8, hard)
    )
    assert shifted.value == pytest.approx(plain.value)
    assert shifted.interval == pytest.approx(plain.interval)
    assert plain.value == pytest.approx(100 * (sum(ours) - sum(theirs)) / 8)


def test_datasets_count_the_same_however_many_episodes_they_have():
    many, few = mean_of([1.0, 3.0] * 50), mean_of([10.0, 12.0])
    mean = mean_over([many, few])
    assert mean.value == pytest.approx((2 + 11) / 2)
    assert mean.interval > few.interval / 2
    assert mean_over([many, None]) is None
    one = mean_over([many, mean_of([4.0])])
    assert (one.value, one.interval) == (pytest.approx(3), None)


@pytest.mark.parametrize(
    ("value", "interval", "sure"),
    [(2, 1, True), (-2, 1, True), (1, 1, False), (-1, 2, False), (9, None, 0)],
)
def test_a_mean_is_sure_when_0_is_outside_of_its_interval(
    value, interval, sure
):
    assert Mean(value, interval, 5).is_sure == sure


def test_the_table_says_how_many_episodes_were_compared():
    table = difference_table(summarize(VALUES, missing=["fungi"]), NET)
    assert table.columns[:3] == ("Method", "Episodes", "Mean")
    assert [name for name, _ in table.rows] == ["None", "FullTrain"]
    none, full = row(table, "None"), row(table, "FullTrain")
    assert none["cub"].ours == "+25.0 ± 9.8"
    assert none["cub"].best
    assert none["Mean"].ours == "+22.5 ± 11.0"
    assert full["cub"].ours == "+5.0 ± 9.8"
    assert not full["cub"].best
    assert full["Mean"].ours == "in part"
    assert (full["omniglot"].ours, full["fungi"].ours) == (
        "not run",
        "not available",
    )
    assert [r["Episodes"].ours for r in (none, full)] == ["2", "2"]
    uneven = {**VALUES, ("full", "omniglot"): (0.9,)}
    cells = row(difference_table(summarize(uneven), NET), "FullTrain")
    assert cells["Episodes"].ours == "1 to 2"
    assert cells["omniglot"].ours == "-40.0"
    assert cells["Mean"].ours == "-17.5"  # Of one episode: no interval.


def claims(**changes):
    """Row of the claim, with some accuracies or costs of SparseUpdate."""
    values = {
        (method, dataset): changes.get(method, (0.5, 0.6))
        for method in RIVALS
        for dataset in ("cub", "omniglot")
    }
    values |= {key: () for key in changes.get("lacking", ())}
    values |= {("tinytrain", d): (0.7, 0.9) for d in ("cub", "omniglot")}
    summary = summarize(values)
    costs = {"memory_bytes": 2**21, "macs": 11_880_000, **changes}
    for cell in summary.records(NET, "sparseupdate"):
        cell |= {name: costs[name] for name in ("memory_bytes", "macs")}
    table = claim_table(summary)
    assert [name for name, _ in table.rows] == ["mcunet, ImageNet weights"]
    (cells,) = [row for _, row in table.rows]
    assert table.note.endswith(f"together: {cells[0].ours}.")
    return [cell.ours for cell in cells]


def test_the_claim_holds_when_every_part_does():
    assert claims() == [
        "yes",
        *["yes, +25.0 ± 6.9"] * 3,
        "yes, 1 against 2 MiB",
        "yes, 6.5 against 11.9 M",
    ]


@pytest.mark.parametrize(
    ("place", "part", "change"),
    [
        (1, "no, -10.0 ± 6.9", {"full": (0.85, 0.95)}),
        (2, "no, +0.0 ± 0.0", {"tinytl": (0.7, 0.9)}),
        (3, "no, -10.0", {"sparseupdate": (0.85, 0.95)}),
        (4, "no, 1 against 1 MiB", {"memory_bytes": 2**20}),
        (5, "no, 6.5 against 5 M", {"macs": 5_000_000}),
    ],
)
def test_the_claim_falls_with_any_part(place, part, change):
    cells = claims(**change)
    assert cells[0] == "no"
    assert cells[place].startswith(part)
    assert sum(cell.startswith("yes") for cell in cells) == 4


def test_the_claim_is_open_as_long_as_something_was_not_run():
    cells = claims(lacking=[("tinytl", "cub")])
    assert (cells[0], cells[2]) == ("open", "in part")
    assert claims(lacking=[("tinytl", "cub")], macs=1)[0] == "no"
    cells = claims(tinytl=())
    assert (cells[0], cells[2]) == ("open", "not run")
    cells = claims(sparseupdate=())
    assert cells[3:] == ["not run"] * 3


def test_a_report_without_tinytrain_compares_nothing(tmp_path):
    for method, compares in (("none", False), ("tinytrain", True)):
        records = [record(m, "cub", 0, 0.5) for m in ("full", method)]
        write_report(Records(PROTOCOL, records), tmp_path / method)
        for name in ("report.md", "report.html"):
            text = (tmp_path / method / name).read_text()
            assert ("Is TinyTrain better" in text) == compares
            assert ("TinyTrain minus the others" in text) == compares


def test_meta_trained_weights_stand_beside_imagenet_weights(tmp_path):
    """Gains are taken within an episode, over what both have."""
    meta = NET._replace(weights="meta")
    before = {("none", "cub"): (0.5, 0.7), ("none", "omniglot"): (0.4, 0.4)}
    after = {
        ("none", "cub"): (0.6, 0.9, 0.1),
        ("none", "omniglot"): (0.4, 0.8),
        ("tinytrain", "cub"): (0.9,),
    }
    episodes = [
        record(method, dataset, i, accuracy, net)
        for net, values in ((NET, before), (meta, after))
        for (method, dataset), accuracies in values.items()
        for i, accuracy in enumerate(accuracies)
    ]
    records = Records(PROTOCOL, episodes)
    (table,) = version_tables(Summary(records))
    none = row(table, "None")
    # 10 and 20 points: standard deviation sqrt(50), over sqrt(2): 5.
    assert none["cub"].ours == "+15.0 \u00b1 9.8"
    assert none["cub"].best
    assert none["omniglot"].ours == "+20.0 \u00b1 39.2"
    assert not none["omniglot"].best
    assert none["ImageNet weights"].ours.startswith("50.0 ")
    assert none["Gain"].ours.startswith("+17.5 ")
    assert none["Episodes"].ours == "2"
    ours = row(table, "TinyTrain")
    assert ours["Gain"].lacking
    write_report(records, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "Accuracy of mcunet, meta-trained weights" in text
    assert (
        "| mcunet imagenet, MiB | mcunet imagenet, M MACs | mcunet meta" in text
    )
    only = Records(PROTOCOL, [r for r in episodes if r["weights"] == "meta"])
    assert version_tables(Summary(only)) == []


def test_int8_stands_beside_float32_and_not_in_it(tmp_path):
    """Every cell is of one precision; the paper's numbers are of float32."""
    int8 = NET._replace(precision="int8")
    episodes = [
        record("tinytrain", "cub", i, accuracy, net)
        for net, values in ((NET, (0.5, 0.7)), (int8, (0.4, 0.5)))
        for i, accuracy in enumerate(values)
    ]
    summary = Summary(Records(PROTOCOL, episodes))
    assert summary.nets == [NET, int8]
    assert summary.accuracy(NET, "tinytrain", "cub").value == 60
    assert summary.accuracy(int8, "tinytrain", "cub").value == 45
    assert [summary.label(net) for net in summary.nets] == [
        "mcunet float32",
        "mcunet int8",
    ]
    (table,) = version_tables(summary)
    assert table.heading == "What int8 changes, mcunet, ImageNet weights"
    ours = row(table, "TinyTrain")
    # 10 and 20 points less: standard deviation sqrt(50), over sqrt(2): 5.
    assert ours["Gain"].ours == "-15.0 \u00b1 9.8"
    assert ours["float32"].ours.startswith("60.0 ")
    assert ours["int8"].ours.startswith("45.0 ")
    assert summary.published_average(int8, "tinytrain") is None
    assert summary.methods(int8) == ["tinytrain"]
    names = write_report(Records(PROTOCOL, episodes), tmp_path)
    assert {n for n in names if n.startswith("channels")} == {
        "channels-tinytrain-mcunet-imagenet.png",
        "channels-tinytrain-mcunet-imagenet-int8.png",
    }
    text = (tmp_path / "report.md").read_text()
    assert "Accuracy of mcunet, ImageNet weights, int8" in text
    rows = (tmp_path / "report.csv").read_text().splitlines()
    assert rows[0].startswith("net,weights,precision,method")
    assert sum(r.startswith("mcunet,imagenet,int8,") for r in rows) == 10
