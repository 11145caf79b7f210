"""TinyTrain against another method, on the episodes that both have learned."""

from __future__ import annotations

from keras_tinytrain.report.means import Mean, mean_of, mean_over
from keras_tinytrain.report.summary import Summary

OURS = "tinytrain"


def difference(
    summary: Summary, net: tuple[str, str], other: str, dataset: str
) -> Mean | None:
    """Returns by how many points TinyTrain is above, None without pairs.

    The mean of the differences within an episode, the same images and the
    same weights: how hard the episodes are drops out of its interval, and a
    method with fewer episodes is compared on these.

    Args:
        summary: What records say.
        net: The net, name and weights.
        other: The method to compare with.
        dataset: The dataset.
    """
    ours, theirs = (
        {
            (record["seed"], record["episode"]): 100 * record["accuracy"]
            for record in summary.records(net, method, dataset)
        }
        for method in (OURS, other)
    )
    pairs = sorted(ours.keys() & theirs.keys())
    return mean_of([ours[x] - theirs[x] for x in pairs]) if pairs else None


def average_difference(
    summary: Summary, net: tuple[str, str], other: str
) -> Mean | None:
    """Returns the mean over datasets, None if any of them has no pairs."""
    return mean_over(
        [difference(summary, net, other, d) for d in summary.complete(net)]
    )


def compared(summary: Summary, net: tuple[str, str]) -> list[str]:
    """Lists the methods that have an episode in common with TinyTrain."""
    return [
        method
        for method in summary.methods(net)
        if method != OURS
        and any(
            difference(summary, net, method, d) for d in summary.complete(net)
        )
    ]
