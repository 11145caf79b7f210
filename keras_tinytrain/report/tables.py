"""The tables of a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras_tinytrain import published
from keras_tinytrain.report.summary import NOT_RUN, Mean, Summary, title

MEAN = "Mean"
IN_PART = "in part"


@dataclasses.dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        ours: What was measured, or why nothing was.
        paper: The published number, empty without.
        best: Whether it is the best of its column.
        lacking: Whether `ours` says why nothing was measured.
    """

    ours: str
    paper: str = ""
    best: bool = False
    lacking: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        heading: What it shows.
        columns: Headings of the columns, the first that of the rows.
        rows: Heading and cells of each row.
        note: What to know of it.
    """

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    note: str

    def to_markdown(self) -> str:
        """Writes the table with its heading and note."""
        lines = [f"### {self.heading}", "", self.note, ""]
        lines.append(_line(self.columns))
        lines.append(_line(["---"] + ["--:"] * (len(self.columns) - 1)))
        lines += [
            _line([heading, *(_markdown(cell) for cell in cells)])
            for heading, cells in self.rows
        ]
        return "\n".join(lines) + "\n"


def accuracy_table(summary: Summary, net: tuple[str, str]) -> Table:
    """Returns the accuracies of a net, by method and dataset."""
    methods = summary.methods(net)
    means = {
        m: [
            summary.average(net, m),
            *(summary.accuracy(net, m, d) for d in summary.datasets),
        ]
        for m in methods
    }
    best = [
        max((mean.value for mean in column if mean), default=None)
        for column in zip(*means.values())
    ]
    complete = summary.complete(net)
    rows = []
    for method in methods:
        papers = [
            summary.published_average(net, method),
            *(published.accuracy(net[0], method, d) for d in summary.datasets),
        ]
        whole = NOT_RUN if not any(means[method]) else IN_PART
        whys = [whole, *(summary.lacking(d) for d in summary.datasets)]
        cells = (
            Cell(
                _mean(mean) if mean else why,
                "" if paper is None else f"{paper:.1f}",
                best=mean is not None and mean.value == most,
                lacking=mean is None,
            )
            for mean, paper, why, most in zip(means[method], papers, whys, best)
        )
        rows.append((title(method), tuple(cells)))
    return Table(
        f"Accuracy of {describe(net)}",
        ("Method", MEAN, *summary.datasets),
        tuple(rows),
        f"Top-1 in % with the 95 % interval over {_counts(summary, net)} "
        "episodes of each dataset; in brackets what the paper has. "
        f"{MEAN}: over {', '.join(complete)}, the paper's as well.",
    )


def cost_table(summary: Summary) -> Table:
    """Returns memory and MACs by method and net."""
    columns, rows = ["Method"], []
    for net in summary.nets:
        columns += [f"{net[0]}, MiB", f"{net[0]}, M MACs"]
    for method in summary.every_method():
        cells = []
        for net in summary.nets:
            cost = summary.cost(net, method)
            paper = published.costs(net[0], method)
            for ours, theirs, unit in (
                (cost and cost.memory_bytes, paper and paper[0], 2**20),
                (cost and cost.macs, paper and paper[1], 1e6),
            ):
                cells.append(
                    Cell(
                        NOT_RUN if ours is None else _number(ours / unit),
                        "" if theirs is None else _number(theirs / unit),
                        lacking=ours is None,
                    )
                )
        rows.append((title(method), tuple(cells)))
    return Table(
        "Cost of the backward pass",
        tuple(columns),
        tuple(rows),
        "Memory in MiB and MACs in millions under the paper's cost model, "
        "the largest over all episodes; in brackets what the paper has. "
        "FullTrain counts a batch of 100, the others one sample at a time.",
    )


def time_table(summary: Summary) -> Table:
    """Returns seconds per episode by method and net."""
    rows = []
    for method in summary.every_method(run=True):
        cells = []
        for net in summary.nets:
            time = summary.time(net, method)
            if time is None:
                cells += [Cell(NOT_RUN, lacking=True)] * 2
                continue
            spread = f"{_number(time.low)} to {_number(time.high)}"
            chosen = time.selection
            cells.append(Cell(f"{_number(time.median)} ({spread})"))
            cells.append(Cell("" if chosen is None else _number(chosen)))
        rows.append((title(method), tuple(cells)))
    columns = ["Method"]
    for net, _ in summary.nets:
        columns += [f"{net}, s", f"{net}, choosing"]
    return Table(
        "Time of an episode",
        tuple(columns),
        tuple(rows),
        "Seconds to learn an episode, median with quartiles, and of these "
        "the seconds to choose what trains; one process per core with one "
        "thread each, without the first episode of a process.",
    )


def describe(net: tuple[str, str]) -> str:
    """Returns what to call a net with its weights."""
    name, weights = net
    if weights == "none":
        return f"{name}, random weights"
    if weights == "imagenet":
        return f"{name}, ImageNet weights"
    return f"{name}, {weights}"


def _mean(mean: Mean) -> str:
    if mean.interval is None:
        return f"{mean.value:.1f}"
    return f"{mean.value:.1f} ± {mean.interval:.1f}"


def _number(value: float) -> str:
    """Writes a number to three digits, as the paper does."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _counts(summary: Summary, net: tuple[str, str]) -> str:
    """Returns how many episodes a cell of a net has, at least and at most."""
    cells = [
        summary.accuracy(net, method, dataset)
        for method in summary.methods(net)
        for dataset in summary.datasets
    ]
    counts = sorted({cell.count for cell in cells if cell})
    return " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))


def _markdown(cell: Cell) -> str:
    text = f"**{cell.ours}**" if cell.best else cell.ours
    return f"{text} ({cell.paper})" if cell.paper else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
