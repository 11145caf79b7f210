"""The figures of a report, drawn without matplotlib's global state."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from keras_tinytrain import published
from keras_tinytrain.report.style import Theme, looks
from keras_tinytrain.report.summary import Summary, title

_MB, _M = 2**20, 1e6


def draw_tradeoff(summary: Summary, theme: Theme) -> Figure:
    """Draws accuracy against memory and against MACs, a row for each net.

    Filled markers with whiskers are measured, the mean over datasets with
    its 95 % interval. Open markers are the paper's, over the same datasets.

    Args:
        summary: What records say.
        theme: Colours.
    """
    rows = len(summary.nets)
    figure = new_figure(theme, 9, 0.8 + 3.3 * rows)
    grid = figure.subplots(rows, 2, sharey="row", squeeze=False)
    seen: dict[str, None] = {}
    open_too = False
    for (memory, macs), net in zip(grid, summary.nets):
        styles = looks(summary.methods(net))
        for method, (color, marker) in styles.items():
            mean, cost = summary.average(net, method), summary.cost(net, method)
            if mean is not None:
                seen[method] = None
                for axes, x in (
                    (memory, cost.memory_bytes / _MB),
                    (macs, cost.macs / _M),
                ):
                    axes.errorbar(
                        x,
                        mean.value,
                        yerr=mean.interval,
                        color=color,
                        marker=marker,
                        markersize=9,
                        markeredgecolor=theme.background,
                        capsize=3,
                        linestyle="none",
                        zorder=3,
                    )
            value = summary.published_average(net, method)
            costs = published.costs(net.published_name, method)
            if value is not None and costs is not None:
                seen[method], open_too = None, True
                for axes, x in (
                    (memory, costs[0] / _MB),
                    (macs, costs[1] / _M),
                ):
                    axes.plot(
                        x,
                        value,
                        color=color,
                        marker=marker,
                        markersize=8,
                        markerfacecolor="none",
                        markeredgewidth=1.6,
                        linestyle="none",
                        zorder=2,
                    )
        memory.set_xscale("log")
        memory.xaxis.set_major_formatter("{x:g}")
        memory.margins(0.09, 0.12)
        macs.margins(0.09, 0.12)
        memory.set_ylabel(f"{summary.label(net)}\nMean accuracy (%)")
        memory.set_xlabel("Memory (MiB)")
        macs.set_xlabel("Backward MACs of a sample (millions)")
    handles = _handles(list(seen), theme)
    if open_too:
        handles.append(
            Line2D(
                [],
                [],
                color=theme.text,
                marker="o",
                markerfacecolor="none",
                linestyle="none",
                label="open: the paper",
            )
        )
    _legend(figure, theme, handles)
    finish(figure, theme)
    return figure


def draw_times(summary: Summary, theme: Theme) -> Figure:
    """Draws the seconds of an episode, a panel for each net.

    Args:
        summary: What records say.
        theme: Colours.
    """
    nets = summary.nets
    methods = summary.every_method(run=True)
    figure = new_figure(theme, 2.4 + 3.2 * len(nets), 1.0 + 0.36 * len(methods))
    panels = figure.subplots(1, len(nets), sharey=True, squeeze=False)[0]
    styles = looks(methods)
    for axes, net in zip(panels, nets):
        for row, method in enumerate(methods):
            time = summary.time(net, method)
            if time is None:
                continue
            color, marker = styles[method]
            axes.plot([time.low, time.high], [row, row], color=color, lw=3)
            axes.plot(
                time.median,
                row,
                color=color,
                marker=marker,
                markersize=9,
                markeredgecolor=theme.background,
            )
            axes.annotate(
                f"{time.median:.2g} s",
                (max(time.high, time.median), row),
                (9, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=theme.text,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.margins(x=0.22)
        axes.set_title(summary.label(net), fontsize=11)
        axes.set_xlabel("Seconds an episode")
        axes.set_ylim(len(methods) - 0.4, -0.6)
    panels[0].set_yticks(range(len(methods)), [title(m) for m in methods])
    finish(figure, theme)
    return figure


def new_figure(theme: Theme, width: float, height: float) -> Figure:
    """Returns an empty figure, in inches."""
    figure = Figure(
        figsize=(width, height),
        dpi=150,
        layout="constrained",
        facecolor=theme.background,
    )
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    return figure


def finish(figure: Figure, theme: Theme) -> None:
    """Puts all text and lines of a figure into the colours of a theme."""
    for axes in figure.axes:
        axes.set_facecolor(theme.background)
        axes.grid(True, color=theme.grid, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(colors=theme.text, which="both", length=0)
        axes.spines[:].set_color(theme.grid)
        axes.spines[["top", "right"]].set_visible(False)
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
            text.set_color(theme.text)


def _handles(methods: list[str], theme: Theme) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=color,
            marker=marker,
            markersize=9,
            markeredgecolor=theme.background,
            linestyle="none",
            label=title(method),
        )
        for method, (color, marker) in looks(methods).items()
    ]


def _legend(figure: Figure, theme: Theme, handles: list[Line2D]) -> None:
    """Puts a legend below, in as many columns as the figure is wide enough."""
    for columns in range(min(len(handles), 5), 0, -1):
        legend = figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            labelcolor=theme.text,
        )
        if legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()
