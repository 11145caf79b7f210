"""What records say, cell by cell: means, intervals, costs and times."""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Collection
from typing import Any, NamedTuple

from keras_tinytrain import methods as known_methods
from keras_tinytrain import published
from keras_tinytrain.datasets import TARGETS
from keras_tinytrain.evaluation.records import FLOAT32, INT8, Records
from keras_tinytrain.report.means import Mean, mean_of, mean_over

NOT_RUN = "not run"
NOT_AVAILABLE = "not available"
IN_PART = "in part"


class Net(NamedTuple):
    """A net with records.

    Attributes:
        name: What records call it.
        weights: Which weights it began with.
        precision: `"float32"` or `"int8"`.
    """

    name: str
    weights: str
    precision: str = FLOAT32

    @property
    def published_name(self) -> str:
        """What the published tables call it: of int8 they have nothing."""
        return "" if self.precision == INT8 else self.name


@dataclasses.dataclass(frozen=True)
class Cost:
    """The largest costs of a method over its episodes.

    Attributes:
        memory_bytes: Memory of training.
        macs: Backward MACs of one sample.
        weights: Trained weights.
    """

    memory_bytes: int
    macs: int
    weights: int


@dataclasses.dataclass(frozen=True)
class Time:
    """How long a method takes for an episode, in seconds.

    Attributes:
        low: First quartile.
        median: The median.
        high: Third quartile.
        selection: Median of choosing what trains; None without choice.
        count: Number of episodes. The first one in a process is left out,
            in which TensorFlow compiles, unless there are no others.
    """

    low: float
    median: float
    high: float
    selection: float | None
    count: int


class Summary:
    """Records in the order of the paper's tables.

    Args:
        records: The records.

    Attributes:
        nets: Every `Net` with records.
        datasets: Names of the datasets, with all nine targets if any of them
            was asked for.
        protocol: What the episodes share.

    Raises:
        ValueError: If there is no record.
    """

    def __init__(self, records: Records) -> None:
        if not records.episodes:
            raise ValueError(
                "Expected at least one record. Received: none. Run "
                "examples/evaluate.py first"
            )
        self.protocol = records.protocol
        self._groups = collections.defaultdict(list)
        for record in records.episodes:
            net = Net(record["net"], record["weights"], record["precision"])
            self._groups[net, record["dataset"], record["method"]].append(
                record
            )
        self.nets = list(dict.fromkeys(net for net, _, _ in self._groups))
        run = dict.fromkeys(dataset for _, dataset, _ in self._groups)
        self._missing = [x for x in records.missing if x not in run]
        asked = [*run, *self._missing]
        targets = TARGETS if set(TARGETS) & set(asked) else ()
        self.datasets = [*targets, *(x for x in asked if x not in targets)]

    def label(self, net: Net) -> str:
        """Returns a short name of a net: what tells it from the others."""
        alike = [other for other in self.nets if other.name == net.name]
        parts = [net.name]
        if len({other.weights for other in alike}) > 1:
            parts.append(net.weights)
        if len({other.precision for other in alike}) > 1:
            parts.append(net.precision)
        return " ".join(parts)

    def methods(self, net: Net) -> list[str]:
        """Lists the methods of a net: those run, and those published.

        The published ones are left out where only own datasets were run.
        """
        run = {method for n, _, method in self._groups if n == net}
        if set(self.datasets) & set(TARGETS):
            run |= set(published.methods(net.published_name))
        return sort_methods(run)

    def every_method(self, *, run: bool = False) -> list[str]:
        """Lists the methods of all nets.

        Args:
            run: Whether to leave out those that no net has records of.
        """
        return sort_methods(
            {
                method
                for net in self.nets
                for method in self.methods(net)
                if not run or self.records(net, method)
            }
        )

    def records(
        self, net: Net, method: str, dataset: str | None = None
    ) -> list[dict[str, Any]]:
        """Lists the records of a method, of one dataset or of all."""
        chosen = self.datasets if dataset is None else [dataset]
        return [
            r for d in chosen for r in self._groups.get((net, d, method), [])
        ]

    def accuracy(self, net: Net, method: str, dataset: str) -> Mean | None:
        """Returns the mean accuracy, None where nothing was run."""
        found = self.records(net, method, dataset)
        return mean_of([100 * r["accuracy"] for r in found]) if found else None

    def complete(self, net: Net) -> list[str]:
        """Lists the datasets over which the mean of a net is taken."""
        run = {dataset for n, dataset, _ in self._groups if n == net}
        return [dataset for dataset in self.datasets if dataset in run]

    def average(self, net: Net, method: str) -> Mean | None:
        """Returns the mean over datasets, None if any of them is lacking."""
        return mean_over(
            [self.accuracy(net, method, d) for d in self.complete(net)]
        )

    def published_average(self, net: Net, method: str) -> float | None:
        """Returns the published mean over the datasets of `average`."""
        cells = [
            published.accuracy(net.published_name, method, d)
            for d in self.complete(net)
        ]
        return None if None in cells else statistics.fmean(cells)

    def lacks(self, dataset: str) -> bool:
        """Whether a dataset was asked for and not there."""
        return dataset in self._missing

    def lacking(self, dataset: str) -> str:
        """Returns why a cell of a dataset is empty."""
        return NOT_AVAILABLE if self.lacks(dataset) else NOT_RUN

    def cost(self, net: Net, method: str) -> Cost | None:
        """Returns the largest costs, None where nothing was run."""
        found = self.records(net, method)
        names = "memory_bytes", "macs", "trained_weights"
        if not found:
            return None
        return Cost(*(max(r[name] for r in found) for name in names))

    def time(self, net: Net, method: str) -> Time | None:
        """Returns the time of an episode, None where nothing was run."""
        found = self.records(net, method)
        found = [r for r in found if not r["cold"]] or found
        if not found:
            return None
        seconds = sorted(r["seconds"] for r in found)
        quarters = (
            statistics.quantiles(seconds, n=4, method="inclusive")
            if len(seconds) > 1
            else seconds * 3
        )
        choosing = [r["selection_seconds"] for r in found]
        return Time(
            *quarters,
            None if None in choosing else statistics.median(choosing),
            len(found),
        )


def title(method: str) -> str:
    """Returns what to call a method, known to this version or not."""
    if method in known_methods.names():
        return known_methods.get(method).title
    return published.titles().get(method, method)


def sort_methods(names: Collection[str]) -> list[str]:
    """Sorts methods as the paper does; those that it lacks follow."""
    order = [*published.titles(), *known_methods.names(), *sorted(names)]
    return sorted(names, key=order.index)
