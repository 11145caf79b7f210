"""Figures, drawn without a display and without matplotlib's global state."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_tinytrain.plan import PlanLayer, UpdatePlan
from keras_tinytrain.whole_files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

# Okabe and Ito, without their yellow and black: told apart with any colour
# vision, and on paper. More plans than that are drawn as one shaded strip.
COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
)
_FROZEN = "#e9e9ee"
# Share of a row's height that is filled; the rest parts the rows.
_FILL = 0.76


def plot_plan(
    plans: UpdatePlan | Sequence[UpdatePlan],
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draws which channels of which layers plans train.

    On the left a strip for each layer and plan, coloured where a channel is
    trained; on the right the number of weights trained. A layer that only
    some of the plans train has an empty strip for the others. More than six
    plans share a strip, the darker the more of them train the channel, and
    the bars are means with the least and the most as whiskers. A layer that
    trains input channels has a row of them, "in" behind their number; where
    all biases train, the bar says so.

    Args:
        plans: A plan, or plans for the same network, such as those of
            several tasks.
        labels: Name of each plan. `"task 1"`, `"task 2"`, ... when None.
        title: Title of the figure.
        path: File to save the figure in, png or any other that matplotlib
            knows. Not saved when None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no plan, or the plans are for several
            networks, or there is not one label per plan.

    Example:
    >>> plot_plan(model.plan, path="plan.png")
    """
    from matplotlib.figure import Figure

    plans = [plans] if isinstance(plans, UpdatePlan) else list(plans)
    _check(plans, labels)
    labels = labels or [f"task {i + 1}" for i in range(len(plans))]
    rows = _rows(plans)
    lines = len(plans) if len(plans) <= len(COLORS) else 1
    height = 1.5 + max(0.3, 0.1 * lines) * max(len(rows), 1)
    figure = Figure(
        figsize=(10, height + (0.2 * lines if lines > 1 else 0.2)),
        dpi=150,
        layout="constrained",
    )
    strips, bars = figure.subplots(
        1, 2, sharey=True, gridspec_kw={"width_ratios": (3, 1)}
    )
    heading = title or "Trained channels"
    if len(plans) > lines:
        _draw_shares(figure, strips, bars, plans, rows)
        heading += f"\n{_cost(plans)}"
    elif lines > 1:
        handles = [
            _draw(strips, bars, plan, rows, i, lines)
            for i, plan in enumerate(plans)
        ]
        named = [f"{n}: {_cost([p])}" for n, p in zip(labels, plans)]
        figure.legend(
            handles,
            named,
            loc="outside lower center",
            frameon=False,
            fontsize=9,
        )
    else:
        _draw(strips, bars, plans[0], rows, 0, 1)
        heading += f"\n{_cost(plans)}"
    figure.suptitle(heading, fontsize=12)
    _decorate(strips, bars, rows)
    if path is not None:
        path = pathlib.Path(path)
        # As matplotlib names a file without suffix.
        with whole_file(path.with_suffix(path.suffix or ".png")) as part:
            figure.savefig(part)
    return figure


def plot_stream(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draws accuracy over the samples of a stream, a panel for each run.

    A thin line for each class, from when it has come, and a thick one for
    all that has come.

    Args:
        runs: By title, the tests in order of `"seen"`, the samples until
            then: `"accuracy"` and, of each class that has come,
            `"by_class"`.
        path: File to save the figure in; not saved when None.

    Returns:
        The `matplotlib.figure.Figure`.

    Example:
    >>> tests = [{"seen": 25, "accuracy": 0.8, "by_class": {"a": 0.8}}]
    >>> plot_stream({"60 stored": tests}, path="stream.png")
    """
    from matplotlib.figure import Figure

    size = 8, 0.8 + 2.6 * len(runs)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    panels = figure.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, tests) in zip(panels, runs.items()):
        for i, name in enumerate(tests[-1]["by_class"]):
            known = [test for test in tests if name in test["by_class"]]
            values = [100 * test["by_class"][name] for test in known]
            seen = [test["seen"] for test in known]
            color = COLORS[i % len(COLORS)]
            axes.plot(seen, values, color=color, lw=1.2, label=name)
        means = [100 * test["accuracy"] for test in tests]
        seen = [test["seen"] for test in tests]
        axes.plot(seen, means, color="black", lw=2.6, label="all")
        axes.set(title=title, ylim=(-2, 102), ylabel="Accuracy (%)")
        axes.grid(True, color=_FROZEN)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(loc="lower right", ncols=4, fontsize=9)
    panels[-1].set_xlabel("Samples seen")
    if path is not None:
        with whole_file(pathlib.Path(path)) as part:
            figure.savefig(part)
    return figure


def _check(plans, labels) -> None:
    networks = sorted({plan.fingerprint for plan in plans})
    if len(networks) != 1:
        raise ValueError(
            "Expected one or more plans for the same network. Received: "
            f"{len(plans)} plans with the fingerprints {networks}"
        )
    if labels is not None and len(labels) != len(plans):
        raise ValueError(
            f"Expected {len(plans)} labels, one per plan. "
            f"Received: labels={labels!r}"
        )


def _row(layer: PlanLayer) -> str:
    """Names the row of a layer: what it shows are inputs or channels."""
    if layer.inputs:
        return f"{layer.name}  ({layer.input_size} in)"
    return f"{layer.name}  ({layer.size})"


def _strip(layer: PlanLayer) -> tuple[tuple[int, ...], int]:
    """Returns the trained indices of a row, and of how many."""
    if layer.inputs:
        return layer.inputs, layer.input_size
    return layer.channels, layer.size


def _rows(plans: Sequence[UpdatePlan]) -> list[str]:
    """Lists the rows of all layers in any plan, in network order."""
    places = {_row(c): c.index for plan in plans for c in plan.layers}
    return sorted(places, key=places.get)


def _draw(
    strips: Axes,
    bars: Axes,
    plan: UpdatePlan,
    rows: list[str],
    index: int,
    count: int,
) -> Patch:
    """Draws one plan, its line in the row of each layer."""
    from matplotlib.patches import Patch

    color = COLORS[index]
    height = _FILL / count
    trained = {_row(layer): layer for layer in plan.layers}
    for row, name in enumerate(rows):
        top = row - _FILL / 2 + index * height
        # A gap between plans tells one empty strip from the next.
        box = (top, height * (0.88 if count > 1 else 1.0))
        strips.broken_barh([(0, 100)], box, facecolor=_FROZEN)
        if name not in trained:
            continue
        layer = trained[name]
        indices, size = _strip(layer)
        spans = [
            (100 * start / size, 100 * (stop - start) / size)
            for start, stop in _runs(indices)
        ]
        strips.broken_barh(spans, box, facecolor=color, linewidth=0)
        weights = layer.trained_weights
        bars.barh(top + box[1] / 2, weights, height=box[1], color=color)
        if count == 1:
            text = f" {len(indices)} of {size}" if indices else " "
            if layer.bias:
                text += ", biases" if indices else "biases"
            bars.annotate(text, (weights, row), va="center", fontsize=8)
    return Patch(color=color)


def _draw_shares(
    figure: Figure,
    strips: Axes,
    bars: Axes,
    plans: Sequence[UpdatePlan],
    rows: list[str],
) -> None:
    """Draws how many of many plans train each channel."""
    from matplotlib import cm, colormaps, colors

    count = len(plans)
    # The palest blues are too near to the grey of "never".
    blues = colormaps["Blues"](np.linspace(0.35, 1.0, count))
    colormap = colors.ListedColormap([_FROZEN, *blues])
    norm = colors.BoundaryNorm(np.arange(count + 2) - 0.5, count + 1)
    for row, name in enumerate(rows):
        found = {
            i: layer
            for i, plan in enumerate(plans)
            for layer in plan.layers
            if _row(layer) == name
        }
        size = _strip(next(iter(found.values())))[1]
        trained = np.zeros((count, size), int)
        weights = np.zeros(count)
        for i, layer in found.items():
            trained[i, list(_strip(layer)[0])] = 1
            weights[i] = layer.trained_weights
        strips.pcolormesh(
            np.linspace(0, 100, size + 1),
            [row - _FILL / 2, row + _FILL / 2],
            trained.sum(axis=0, keepdims=True),
            cmap=colormap,
            norm=norm,
        )
        mean = weights.mean()
        reach = [[mean - weights.min()], [weights.max() - mean]]
        bars.barh(row, mean, _FILL, xerr=reach, color=COLORS[0], capsize=3)
    bar = figure.colorbar(
        cm.ScalarMappable(norm, colormap),
        ax=[strips, bars],
        location="bottom",
        shrink=0.4,
        aspect=40,
        label=f"Tasks, of {count}, that train the channel",
    )
    bar.set_ticks(np.unique(np.linspace(0, count, 6).astype(int)))


def _runs(channels: Sequence[int]) -> list[tuple[int, int]]:
    """Joins neighbours: `(0, 1, 5)` becomes `[(0, 2), (5, 6)]`."""
    runs: list[tuple[int, int]] = []
    for c in channels:
        if runs and runs[-1][1] == c:
            runs[-1] = (runs[-1][0], c + 1)
        else:
            runs.append((c, c + 1))
    return runs


def _decorate(strips: Axes, bars: Axes, rows: list[str]) -> None:
    inputs = any(row.endswith(" in)") for row in rows)
    kind = "Channels" if inputs else "Output channels"
    strips.set(
        xlim=(0, 100),
        ylim=(max(len(rows), 1) - 0.5, -0.5),
        xlabel=f"{kind}, first to last (% of the layer)",
    )
    strips.set_title("Which channels train", fontsize=10)
    strips.set_yticks(range(len(rows)), rows)
    strips.set_ylabel("Layer (its channels)")
    bars.set_xlabel("Trained weights")
    bars.set_title("How many weights", fontsize=10)
    bars.xaxis.set_major_formatter("{x:,.0f}")
    bars.xaxis.get_major_locator().set_params(nbins=4, integer=True)
    bars.margins(x=0.3)
    bars.set_xlim(left=0)
    for axes in (strips, bars):
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    if not rows:
        strips.annotate("nothing is trained", (50, 0), ha="center", va="center")


def _cost(plans: Sequence[UpdatePlan]) -> str:
    """Returns what the plans cost at most."""
    weights = max(p.trained_weights for p in plans)
    memory = max(p.memory_bytes for p in plans) / 1024**2
    macs = max(p.macs for p in plans) / 1e6
    return ("at most " if len(plans) > 1 else "") + (
        f"{weights:,} weights, {memory:.2f} MB ({plans[0].cost_model} model), "
        f"{macs:.2f} M backward MACs"
    )
