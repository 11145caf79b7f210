"""All numbers of a report for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from keras_tinytrain import published
from keras_tinytrain.report.pairs import OURS, average_difference, difference
from keras_tinytrain.report.summary import IN_PART, NOT_RUN, Summary

# Stands for the mean over datasets, where others have their name.
MEAN = "(mean)"


def to_csv(summary: Summary) -> str:
    """Writes all cells, a line for each net, method and dataset.

    What was not measured or not published is empty. A difference is that of
    TinyTrain minus the method, over the episodes that both have.
    """
    text, rows = io.StringIO(), list(_rows(summary))
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(summary: Summary) -> Iterator[dict[str, Any]]:
    for net in summary.nets:
        for method in summary.methods(net):
            cost, time = summary.cost(net, method), summary.time(net, method)
            paper = published.costs(net.published_name, method)
            for dataset in (*summary.datasets, MEAN):
                if dataset == MEAN:
                    mean = summary.average(net, method)
                    accuracy = summary.published_average(net, method)
                    paired = average_difference(summary, net, method)
                    lacking = IN_PART if cost else NOT_RUN
                else:
                    mean = summary.accuracy(net, method, dataset)
                    accuracy = published.accuracy(
                        net.published_name, method, dataset
                    )
                    paired = difference(summary, net, method, dataset)
                    lacking = summary.lacking(dataset)
                if method == OURS:
                    paired = None
                yield {
                    "net": net.name,
                    "weights": net.weights,
                    "precision": net.precision,
                    "method": method,
                    "dataset": dataset,
                    "status": "run" if mean else lacking,
                    "episodes": mean.count if mean else 0,
                    "accuracy": mean and mean.value,
                    "interval": mean and mean.interval,
                    "published_accuracy": accuracy,
                    "difference": paired and paired.value,
                    "difference_interval": paired and paired.interval,
                    "difference_episodes": paired.count if paired else 0,
                    "memory_bytes": cost and cost.memory_bytes,
                    "published_memory_bytes": paper and round(paper[0]),
                    "macs": cost and cost.macs,
                    "published_macs": paper and round(paper[1]),
                    "median_seconds": time and time.median,
                }
