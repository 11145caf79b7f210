"""The same net with ImageNet weights and with meta-trained ones."""

from __future__ import annotations

from keras_tinytrain.report.cells import (
    Cell,
    Table,
    write_counts,
    write_mean,
)
from keras_tinytrain.report.means import Mean, mean_over
from keras_tinytrain.report.pairs import gain
from keras_tinytrain.report.summary import IN_PART, NOT_RUN, Summary, title
from keras_tinytrain.report.tables import EPISODES

BEFORE, AFTER = "imagenet", "meta"


def start_tables(summary: Summary) -> list[Table]:
    """Returns a table for each net that was run with both weights."""
    names = dict.fromkeys(name for name, _ in summary.nets)
    return [
        _table(summary, name)
        for name in names
        if {(name, BEFORE), (name, AFTER)} <= set(summary.nets)
    ]


def _table(summary: Summary, name: str) -> Table:
    before, after = (name, BEFORE), (name, AFTER)
    both = [
        dataset
        for dataset in summary.complete(before)
        if dataset in summary.complete(after)
    ]
    methods = [
        method
        for method in summary.methods(before)
        if summary.records(before, method) or summary.records(after, method)
    ]
    rows = []
    for method in methods:
        gains = [gain(summary, (after, before), method, d) for d in both]
        means = [
            mean_over([summary.accuracy(net, method, d) for d in both])
            for net in (before, after)
        ]
        cells = (
            Cell(write_counts(gains)),
            *(_cell(mean) for mean in means),
            *(_cell(mean, "+") for mean in (mean_over(gains), *gains)),
        )
        rows.append((title(method), cells))
    return Table(
        f"What meta-training gains, {name}",
        (
            "Method",
            EPISODES,
            "ImageNet weights",
            "Meta-trained weights",
            "Gain",
            *both,
        ),
        tuple(rows),
        "Accuracy in %, mean over the datasets that were run with both; the "
        "gain and, by dataset, its parts in points, with the 95 % interval of "
        "the differences within an episode. Highlighted where 0 is outside of "
        "the interval.",
    )


def _cell(mean: Mean | None, sign: str = "-") -> Cell:
    if mean is None:
        return Cell(NOT_RUN if sign == "+" else IN_PART, lacking=True)
    return Cell(write_mean(mean, sign), best=sign == "+" and mean.is_sure)
