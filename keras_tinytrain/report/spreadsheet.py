"""All numbers of a report for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from keras_tinytrain import published
from keras_tinytrain.report.summary import Summary


def to_csv(summary: Summary) -> str:
    """Writes all cells, a line for each net, method and dataset.

    What was not measured or not published is empty.
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
            paper = published.costs(net[0], method)
            for dataset in summary.datasets:
                mean = summary.accuracy(net, method, dataset)
                yield {
                    "net": net[0],
                    "weights": net[1],
                    "method": method,
                    "dataset": dataset,
                    "status": "run" if mean else summary.lacking(dataset),
                    "episodes": mean.count if mean else 0,
                    "accuracy": mean and mean.value,
                    "interval": mean and mean.interval,
                    "published_accuracy": published.accuracy(
                        net[0], method, dataset
                    ),
                    "memory_bytes": cost and cost.memory_bytes,
                    "published_memory_bytes": paper and round(paper[0]),
                    "macs": cost and cost.macs,
                    "published_macs": paper and round(paper[1]),
                    "median_seconds": time and time.median,
                }
