"""The figure of which channels of which layers a method chose."""

from __future__ import annotations

import collections
import graphlib
import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib import cm, colors
from matplotlib.figure import Figure

from keras_tinytrain.evaluation.channels import from_text
from keras_tinytrain.report.figures import finish, new_figure
from keras_tinytrain.report.style import Theme
from keras_tinytrain.report.summary import Net, Summary, title

# Share of a cell that its strip fills.
_WIDE, _HIGH = 0.94, 0.82


def chosen_methods(summary: Summary, net: Net) -> list[str]:
    """Lists the methods that chose channels task by task."""
    return [
        method
        for method in summary.methods(net)
        if any(
            record["channels"] and record["selection_seconds"] is not None
            for record in summary.records(net, method)
        )
    ]


def draw_channels(
    summary: Summary, net: Net, method: str, theme: Theme
) -> Figure:
    """Draws how often each channel trains: layers down, datasets across.

    A strip is a layer on a dataset, its channels from left to right, each
    the stronger the more of the dataset's episodes train it.

    Args:
        summary: What records say.
        net: The net.
        method: A method that chose channels.
        theme: Colours.
    """
    datasets = [d for d in summary.datasets if summary.records(net, method, d)]
    shares = {d: _shares(summary.records(net, method, d)) for d in datasets}
    layers = _layers(summary.records(net, method))
    figure = new_figure(
        theme, 2.6 + 1.25 * len(datasets), 1.5 + 0.34 * max(len(layers), 1)
    )
    axes = figure.subplots()
    scale = colors.LinearSegmentedColormap.from_list("trained", theme.shades)
    scale = scale.with_extremes(under=theme.never)
    norm = colors.Normalize(0.001, 1)
    for column, dataset in enumerate(datasets):
        for row, (name, size) in enumerate(layers.items()):
            share = shares[dataset].get(name, np.zeros(size))
            edges = np.linspace(-_WIDE / 2, _WIDE / 2, size + 1)
            axes.pcolormesh(
                column + edges,
                [row - _HIGH / 2, row + _HIGH / 2],
                share[np.newaxis],
                cmap=scale,
                norm=norm,
                rasterized=True,
            )
    axes.set_xticks(range(len(datasets)), datasets)
    axes.set_yticks(
        range(len(layers)), [f"{n}  ({size})" for n, size in layers.items()]
    )
    axes.set(
        xlim=(-0.5, max(len(datasets), 1) - 0.5),
        ylim=(max(len(layers), 1) - 0.5, -0.5),
        xlabel="Each strip: the channels of a layer, first to last",
        ylabel="Layer (its channels)",
    )
    axes.set_title(f"{title(method)}, {summary.label(net)}", fontsize=11)
    bar = figure.colorbar(
        cm.ScalarMappable(norm, scale), ax=axes, fraction=0.03, pad=0.02
    )
    bar.set_label("Share of episodes that train the channel")
    bar.outline.set_visible(False)
    finish(figure, theme)
    for every in figure.axes:
        every.grid(False)
        every.spines[:].set_visible(False)
    return figure


def _shares(records: Sequence[dict]) -> dict[str, np.ndarray]:
    """Returns for each layer how often each of its channels trains."""
    counts: dict[str, np.ndarray] = {}
    for record in records:
        for name, text in (record["channels"] or {}).items():
            size, channels = from_text(text)
            count = counts.setdefault(name, np.zeros(size))
            count[channels] += 1
    return {name: count / len(records) for name, count in counts.items()}


def _layers(records: Sequence[dict]) -> dict[str, int]:
    """Returns the sizes of all layers in any plan, in network order.

    A plan knows the order of its own layers only; together they know more.
    """
    sizes: dict[str, int] = {}
    sorter: graphlib.TopologicalSorter = graphlib.TopologicalSorter()
    plans = collections.Counter(
        tuple((record["channels"] or {}).items()) for record in records
    )
    for plan in sorted(plans):
        names = [name for name, _ in plan]
        sizes |= {name: from_text(text)[0] for name, text in plan}
        for name in names:
            sorter.add(name)
        for before, after in itertools.pairwise(names):
            sorter.add(after, before)
    return {name: sizes[name] for name in sorter.static_order()}
