"""The tables of a report."""

from __future__ import annotations

from keras_tinytrain import published
from keras_tinytrain.evaluation.records import FLOAT32
from keras_tinytrain.report.cells import (
    Cell,
    Table,
    write_counts,
    write_mean,
    write_number,
)
from keras_tinytrain.report.summary import IN_PART, NOT_RUN, Net, Summary, title

EPISODES = "Episodes"
MEAN = "Mean"
WEIGHTS = {
    "none": "random weights",
    "imagenet": "ImageNet weights",
    "meta": "meta-trained weights",
}


def accuracy_table(summary: Summary, net: Net) -> Table:
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
            *(
                published.accuracy(net.published_name, method, d)
                for d in summary.datasets
            ),
        ]
        whole = NOT_RUN if not any(means[method]) else IN_PART
        whys = [whole, *(summary.lacking(d) for d in summary.datasets)]
        cells = (
            Cell(
                write_mean(mean) if mean else why,
                "" if paper is None else f"{paper:.1f}",
                best=mean is not None and mean.value == most,
                lacking=mean is None,
            )
            for mean, paper, why, most in zip(means[method], papers, whys, best)
        )
        episodes = Cell(write_counts(means[method][1:]))
        rows.append((title(method), (episodes, *cells)))
    return Table(
        f"Accuracy of {describe(net)}",
        ("Method", EPISODES, MEAN, *summary.datasets),
        tuple(rows),
        "Top-1 in % with the 95 % interval over so many episodes of each "
        "dataset; in brackets what the paper has. "
        f"{MEAN}: over {', '.join(complete)}, the paper's as well. A method "
        "with fewer episodes had others to learn: the differences compare "
        "like with like.",
    )


def cost_table(summary: Summary) -> Table:
    """Returns memory and MACs by method and net, run or published."""
    columns, rows = ["Method"], []
    for net in summary.nets:
        name = summary.label(net)
        columns += [f"{name}, MiB", f"{name}, M MACs"]
    for method in summary.every_method():
        cells = []
        for net in summary.nets:
            cost = summary.cost(net, method)
            paper = published.costs(net.published_name, method)
            for ours, theirs, unit in (
                (cost and cost.memory_bytes, paper and paper[0], 2**20),
                (cost and cost.macs, paper and paper[1], 1e6),
            ):
                cells.append(
                    Cell(
                        NOT_RUN if ours is None else write_number(ours / unit),
                        "" if theirs is None else write_number(theirs / unit),
                        lacking=ours is None,
                    )
                )
        if not all(cell.lacking and not cell.paper for cell in cells):
            rows.append((title(method), tuple(cells)))
    return Table(
        "Cost of the backward pass",
        tuple(columns),
        tuple(rows),
        "Memory in MiB and MACs in millions under the paper's cost model, "
        "the largest over all episodes; in brackets what the paper has. "
        "FullTrain counts a batch of 100, the others one sample at a time. The "
        "paper's MobileNetV2 and ProxylessNAS have one convolution more, of "
        "which there are no weights: examples/costs.py counts it.",
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
            spread = f"{write_number(time.low)} to {write_number(time.high)}"
            chosen = time.selection
            cells.append(Cell(f"{write_number(time.median)} ({spread})"))
            cells.append(Cell("" if chosen is None else write_number(chosen)))
        rows.append((title(method), tuple(cells)))
    columns = ["Method"]
    for net in summary.nets:
        name = summary.label(net)
        columns += [f"{name}, s", f"{name}, choosing"]
    return Table(
        "Time of an episode",
        tuple(columns),
        tuple(rows),
        "Seconds to learn an episode, median with quartiles, and of these "
        "the seconds to choose what trains; one process per core with one "
        "thread each, without the first episode of a process.",
    )


def describe(net: Net) -> str:
    """Returns what to call a net with its weights, and its precision."""
    weights = WEIGHTS.get(net.weights, net.weights)
    text = f"{net.name}, {weights}"
    return text if net.precision == FLOAT32 else f"{text}, {net.precision}"
