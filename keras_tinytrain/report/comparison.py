"""The tables that compare TinyTrain with the other methods, like with like."""

from __future__ import annotations

from collections.abc import Sequence

from keras_tinytrain.report.cells import (
    Cell,
    Table,
    write_counts,
    write_mean,
    write_number,
)
from keras_tinytrain.report.means import Mean
from keras_tinytrain.report.pairs import (
    OURS,
    average_difference,
    compared,
    difference,
)
from keras_tinytrain.report.summary import IN_PART, NOT_RUN, Net, Summary, title
from keras_tinytrain.report.tables import EPISODES, MEAN, describe

# What the claim names: more accurate than these, and cheaper than the last.
RIVALS = ("full", "tinytl", "sparseupdate")
CHEAPER_THAN = "sparseupdate"
_WORDS = {True: "yes", False: "no", None: "open"}


def difference_table(summary: Summary, net: Net) -> Table:
    """Returns by how many points TinyTrain is above each other method."""
    rows = []
    for method in compared(summary, net):
        means = [difference(summary, net, method, d) for d in summary.datasets]
        mean = average_difference(summary, net, method)
        cells = [
            Cell(write_counts(means)),
            _points(mean, IN_PART),
            *(
                _points(mean, summary.lacking(dataset))
                for mean, dataset in zip(means, summary.datasets)
            ),
        ]
        rows.append((title(method), tuple(cells)))
    return Table(
        f"{title(OURS)} minus the others, {describe(net)}",
        ("Method", EPISODES, MEAN, *summary.datasets),
        tuple(rows),
        "Accuracy in points, with the 95 % interval of the differences within "
        "an episode: the same images and weights, over so many episodes of "
        "each dataset as both methods have. Highlighted where 0 is outside "
        "of the interval.",
    )


def claim_table(summary: Summary) -> Table:
    """Returns for each net whether TinyTrain is better at less cost."""
    rows, verdicts = [], []
    *names, last = map(title, RIVALS)
    for net in summary.nets:
        parts = [
            *(_more_accurate(summary, net, method) for method in RIVALS),
            *_cheaper(summary, net),
        ]
        verdicts.append(_all_of([holds for holds, _ in parts]))
        cells = [
            Cell(text, lacking=True)
            if holds is None
            else Cell(f"{_WORDS[holds]}, {text}")
            for holds, text in parts
        ]
        whole = Cell(_WORDS[verdicts[-1]], best=verdicts[-1] is True)
        rows.append((describe(net), (whole, *cells)))
    return Table(
        f"Is {title(OURS)} better at less cost?",
        (
            "Net",
            "All of it",
            *(f"Accuracy above {title(method)}" for method in RIVALS),
            f"Memory below {title(CHEAPER_THAN)}",
            f"MACs below {title(CHEAPER_THAN)}",
        ),
        tuple(rows),
        f"The claim: {title(OURS)}'s mean over the datasets is above those of "
        f"{', '.join(names)} and {last} for every net, at less memory and "
        f"MACs than {title(CHEAPER_THAN)}. Accuracy in points, over the "
        "episodes that both methods have; where 0 is inside of the interval, "
        "more episodes may turn the answer. For all nets here together: "
        f"{_WORDS[_all_of(verdicts)]}.",
    )


def _points(mean: Mean | None, why: str) -> Cell:
    if mean is None:
        return Cell(why, lacking=True)
    return Cell(write_mean(mean, "+"), best=mean.is_sure)


def _more_accurate(
    summary: Summary, net: Net, other: str
) -> tuple[bool | None, str]:
    """Returns whether TinyTrain is above another method, and by how much."""
    mean = average_difference(summary, net, other)
    if mean is None:
        return None, IN_PART if other in compared(summary, net) else NOT_RUN
    return mean.value > 0, write_mean(mean, "+")


def _cheaper(summary: Summary, net: Net) -> list[tuple[bool | None, str]]:
    """Returns whether memory and MACs are lower, and what they are."""
    ours, theirs = (summary.cost(net, m) for m in (OURS, CHEAPER_THAN))
    if ours is None or theirs is None:
        return [(None, NOT_RUN)] * 2
    return [
        (
            mine < other,
            f"{write_number(mine / unit)} against "
            f"{write_number(other / unit)} {name}",
        )
        for mine, other, unit, name in (
            (ours.memory_bytes, theirs.memory_bytes, 2**20, "MiB"),
            (ours.macs, theirs.macs, 1e6, "M"),
        )
    ]


def _all_of(answers: Sequence[bool | None]) -> bool | None:
    """Returns whether all hold; None if that is not known of some."""
    if False in answers:
        return False
    return None if None in answers else True
