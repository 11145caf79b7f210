"""`write_report`: all files of a report."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Callable

import matplotlib
from matplotlib.figure import Figure

from keras_tinytrain.evaluation.records import FLOAT32, Records
from keras_tinytrain.report.cells import Table
from keras_tinytrain.report.channels import chosen_methods, draw_channels
from keras_tinytrain.report.comparison import claim_table, difference_table
from keras_tinytrain.report.figures import draw_times, draw_tradeoff
from keras_tinytrain.report.page import write_page
from keras_tinytrain.report.pairs import compared
from keras_tinytrain.report.spreadsheet import to_csv
from keras_tinytrain.report.style import DARK, LIGHT, Theme
from keras_tinytrain.report.summary import Summary, title
from keras_tinytrain.report.tables import (
    accuracy_table,
    cost_table,
    describe,
    time_table,
)
from keras_tinytrain.report.versions import version_tables
from keras_tinytrain.whole_files import whole_file

HEADING = "Few-shot tasks: what each method learns, and what it costs"
CAVEAT = (
    "The paper takes 200 episodes of each dataset; its TinyTrain is "
    "meta-trained, and the other rows of MCUNet are not. The numbers measured "
    "here have the same weights for every method of a net."
)


def write_report(records: Records, folder: str | os.PathLike) -> list[str]:
    """Writes tables, figures and a page of what records say.

    Args:
        records: The records.
        folder: Where to write; made when it is not there.

    Returns:
        Names of the files: `report.html`, which has everything and needs no
        network, `report.md`, `report.csv` and a PNG for each figure.

    Raises:
        ValueError: If there is no record.
        OSError: If a file cannot be written.
    """
    folder = pathlib.Path(folder)
    summary = Summary(records)
    tables = [
        *(accuracy_table(summary, net) for net in summary.nets),
        *version_tables(summary),
        *_comparisons(summary),
        cost_table(summary),
        time_table(summary),
    ]
    figures = _figures(summary)
    introduction = _introduction(summary)
    texts = {
        "report.html": write_page(
            HEADING,
            introduction,
            [
                _part(*figures[0]),
                *tables,
                *(_part(*figure) for figure in figures[1:]),
            ],
        ),
        "report.md": "\n".join(
            [
                f"## {HEADING}\n",
                *(f"{text}\n" for text in introduction),
                *(table.to_markdown() for table in tables),
                *(
                    f"### {heading}\n\n![{caption}]({name}.png)\n"
                    for name, heading, caption, _ in figures
                ),
            ]
        ),
        "report.csv": to_csv(summary),
    }
    for name, text in texts.items():
        with whole_file(folder / name) as part:
            part.write_text(text, encoding="utf-8")
    for name, _, _, draw in figures:
        with whole_file(folder / f"{name}.png") as part:
            draw(LIGHT).savefig(part)
    return [*texts, *(f"{name}.png" for name, *_ in figures)]


def _comparisons(summary: Summary) -> list[Table]:
    """Lists what TinyTrain is compared in; nothing where it was not run."""
    nets = [net for net in summary.nets if compared(summary, net)]
    tables = [difference_table(summary, net) for net in nets]
    return [claim_table(summary), *tables] if nets else []


Drawn = tuple[str, str, str, Callable[[Theme], Figure]]


def _figures(summary: Summary) -> list[Drawn]:
    """Lists name, heading, caption and drawing function of each figure."""
    figures: list[Drawn] = [
        (
            "tradeoff",
            "Accuracy against memory and MACs",
            "Mean accuracy over datasets against the memory of training and "
            "the MACs of a backward pass. Filled: measured, with 95 % "
            "intervals; open: the paper, over the same datasets.",
            lambda theme: draw_tradeoff(summary, theme),
        ),
        (
            "time",
            "Seconds by method",
            "Seconds to learn an episode: median and quartiles.",
            lambda theme: draw_times(summary, theme),
        ),
    ]
    for net in summary.nets:
        for method in chosen_methods(summary, net):
            name = f"channels-{method}-{net.name}-{net.weights}"
            if net.precision != FLOAT32:
                name = f"{name}-{net.precision}"
            name = name.replace(":", "-")
            figures.append(
                (
                    name,
                    f"What {title(method)} trains in {describe(net)}",
                    "Each strip shows the channels of a layer, the stronger "
                    "the more of the dataset's episodes train them.",
                    lambda theme, net=net, method=method: draw_channels(
                        summary, net, method, theme
                    ),
                )
            )
    return figures


def _introduction(summary: Summary) -> list[str]:
    protocol = summary.protocol
    size = (
        f"{protocol['way'] or 'Various'}-way, "
        f"{protocol['shot'] or 'various'}-shot episodes"
    )
    if protocol["way"] is None:
        size += f" of at most {protocol['max_way']} classes"
    if protocol["shot"] is None:
        size += f" and {protocol['max_support']} support images"
    lines = [
        f"{size}, images of {protocol['image_size']} pixels, "
        f"{protocol['steps']} training steps.",
    ]
    missing = [d for d in summary.datasets if summary.lacks(d)]
    if missing:
        lines.append(f"Datasets that were not available: {', '.join(missing)}.")
    return [*lines, CAVEAT]


def _part(name: str, heading: str, caption: str, draw) -> tuple:
    return heading, caption, _svg(draw(LIGHT)), _svg(draw(DARK))


def _svg(figure: Figure) -> bytes:
    """Renders a figure, the same bytes each time."""
    data = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "keras_tinytrain"}):
        figure.savefig(data, format="svg", metadata={"Date": None})
    return data.getvalue()
