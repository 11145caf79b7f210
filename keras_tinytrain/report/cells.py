"""What a table of a report is, and how it writes numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from keras_tinytrain.report.means import Mean


@dataclasses.dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        ours: What was measured, or why nothing was.
        paper: The published number, empty without.
        best: Whether to make it stand out.
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


def write_mean(mean: Mean, sign: str = "-") -> str:
    """Writes a mean with its interval.

    Args:
        mean: The mean.
        sign: `"+"` for a sign in front of any number.
    """
    text = f"{mean.value:{sign}.1f}"
    return text if mean.interval is None else f"{text} ± {mean.interval:.1f}"


def write_number(value: float) -> str:
    """Writes a number to three digits, as the paper does."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write_counts(cells: Iterable[Mean | None]) -> str:
    """Writes how many episodes there are, the least and the most."""
    counts = sorted({cell.count for cell in cells if cell})
    ends = dict.fromkeys([*counts[:1], *counts[-1:]])
    return " to ".join(str(count) for count in ends)


def _markdown(cell: Cell) -> str:
    text = f"**{cell.ours}**" if cell.best else cell.ours
    return f"{text} ({cell.paper})" if cell.paper else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
