"""TinyTrain against another method, on the episodes that both have learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_tinytrain.report.means import Mean, mean_of, mean_over
from keras_tinytrain.report.summary import Net, Summary

OURS = "tinytrain"


def difference(
    summary: Summary, net: Net, other: str, dataset: str
) -> Mean | None:
    """Returns by how many points TinyTrain is above, None without pairs.

    The mean of the differences within an episode, the same images and the
    same weights: how hard the episodes are drops out of its interval, and a
    method with fewer episodes is compared on these.

    Args:
        summary: What records say.
        net: The net.
        other: The method to compare with.
        dataset: The dataset.
    """
    return _paired(
        summary.records(net, OURS, dataset),
        summary.records(net, other, dataset),
    )


def gain(
    summary: Summary,
    nets: tuple[Net, Net],
    method: str,
    dataset: str,
) -> Mean | None:
    """Returns by how many points a net is above another, by one method.

    Args:
        summary: What records say.
        nets: The net that is better, one would hope, and the other.
        method: The method.
        dataset: The dataset.
    """
    return _paired(*(summary.records(net, method, dataset) for net in nets))


def _paired(
    ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]
) -> Mean | None:
    """Returns the mean difference over the episodes of both."""
    first, second = (
        {(r["seed"], r["episode"]): 100 * r["accuracy"] for r in records}
        for records in (ours, theirs)
    )
    pairs = sorted(first.keys() & second.keys())
    return mean_of([first[x] - second[x] for x in pairs]) if pairs else None


def average_difference(summary: Summary, net: Net, other: str) -> Mean | None:
    """Returns the mean over datasets, None if any of them has no pairs."""
    return mean_over(
        [difference(summary, net, other, d) for d in summary.complete(net)]
    )


def compared(summary: Summary, net: Net) -> list[str]:
    """Lists the methods that have an episode in common with TinyTrain."""
    return [
        method
        for method in summary.methods(net)
        if method != OURS
        and any(
            difference(summary, net, method, d) for d in summary.complete(net)
        )
    ]
