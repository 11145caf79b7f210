"""Seconds and joules of a report, by hand."""

import pytest

import keras_tinytrain as ktt
from keras_tinytrain.export import estimate
from keras_tinytrain.export.estimate import Board, Core

CORE = Core("a core", "-O2", 2.0, 1.5)
BOARD = Board("a board", CORE, 100, 50, 2.0)


def test_macs_by_hand():
    """Forty steps, two visits and three predictions' worth of scoring."""
    assert estimate.adaptation_macs(100, 10, 3) == 3 * (40 * 100 + 5 * 10)


def test_seconds_and_joules_by_hand():
    """3e8 cycles at 100 MHz, and 50 uA x 100 x 2 V = 10 mW."""
    seconds, joules = estimate.seconds_and_joules(BOARD, 100_000_000)
    assert seconds == pytest.approx(3.0)
    assert joules == pytest.approx(0.03)


def test_the_report_says_what_it_supposes(net, tmp_path):
    result = ktt.export_micro(ktt.wrap(net), tmp_path, max_way=4)
    text = result.report.read_text()
    macs = estimate.adaptation_macs(result.macs_step, result.macs_predict, 20)
    assert "## Estimate, not measured" in text
    assert "5 samples of each of 4 classes" in text
    assert f"{macs:,} MACs" in text
    assert "to be checked against the data sheets" in text
    for board in estimate.BOARDS:
        seconds, joules = estimate.seconds_and_joules(board, macs)
        (row,) = [s for s in text.splitlines() if f"| {board.name} " in s]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert float(cells[3]) == board.core.cycles
        assert cells[-2:] == [f"{seconds:,.1f}", f"{joules:,.2f}"]
