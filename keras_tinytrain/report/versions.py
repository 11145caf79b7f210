"""The same net in two versions: other weights to start with, or in int8."""

from __future__ import annotations

from collections.abc import Iterator

from keras_tinytrain.evaluation.records import FLOAT32, INT8
from keras_tinytrain.report.cells import (
    Cell,
    Table,
    write_counts,
    write_mean,
)
from keras_tinytrain.report.means import Mean, mean_over
from keras_tinytrain.report.pairs import gain
from keras_tinytrain.report.summary import IN_PART, NOT_RUN, Net, Summary, title
from keras_tinytrain.report.tables import EPISODES, describe

BEFORE, AFTER = "imagenet", "meta"


def version_tables(summary: Summary) -> list[Table]:
    """Returns a table for each net that was run in both of two versions."""
    return [
        _table(summary, before, after, *words)
        for before, after, *words in _pairs(summary)
        if before in summary.nets
    ]


def _pairs(summary: Summary) -> Iterator[tuple]:
    """Yields two versions of a net, heading and what to call both."""
    for net in summary.nets:
        if net.weights == AFTER:
            known = net.precision == FLOAT32
            name = net.name if known else f"{net.name}, {net.precision}"
            yield (
                net._replace(weights=BEFORE),
                net,
                f"What meta-training gains, {name}",
                "ImageNet weights",
                "Meta-trained weights",
            )
    for net in summary.nets:
        if net.precision == INT8:
            before = net._replace(precision=FLOAT32)
            heading = f"What int8 changes, {describe(before)}"
            yield before, net, heading, FLOAT32, INT8


def _table(
    summary: Summary, before: Net, after: Net, heading: str, *columns: str
) -> Table:
    both = [
        dataset
        for dataset in summary.complete(before)
        if dataset in summary.complete(after)
    ]
    methods = [
        method
        for method in summary.every_method(run=True)
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
        heading,
        ("Method", EPISODES, *columns, "Gain", *both),
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
