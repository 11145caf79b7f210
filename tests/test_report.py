import csv
import html.parser
import io
import re
import statistics

import pytest
from full_disk import full_disk
from report_records import NET, PROTOCOL, record, row

from keras_tinytrain import methods, published
from keras_tinytrain.datasets import TARGETS
from keras_tinytrain.evaluation.records import Records
from keras_tinytrain.report import Summary, write_report
from keras_tinytrain.report.channels import chosen_methods, draw_channels
from keras_tinytrain.report.figures import draw_times, draw_tradeoff
from keras_tinytrain.report.style import DARK, LIGHT, looks
from keras_tinytrain.report.summary import Net, sort_methods, title
from keras_tinytrain.report.tables import accuracy_table, cost_table, time_table

VALUES = {
    ("none", "cub"): (0.5, 0.7),
    ("none", "omniglot"): (0.4, 0.4),
    ("tinytrain", "cub"): (0.8, 0.9),
    ("tinytrain", "omniglot"): (0.5, 0.7),
    ("full", "cub"): (0.7, 0.9, 0.8),
}


@pytest.fixture(scope="module")
def records():
    """A few episodes; FullTrain on one dataset of two; no fungi."""
    episodes = [
        record(method, dataset, episode, accuracy)
        for (method, dataset), values in VALUES.items()
        for episode, accuracy in enumerate(values)
    ]
    return Records(PROTOCOL, episodes, ["fungi"])


@pytest.fixture(scope="module")
def summary(records):
    return Summary(records)


def test_the_published_numbers_are_those_of_the_paper():
    assert published.accuracy("mcunet", "tinytrain", "cub") == 69.9
    assert published.accuracy("proxyless_nas", "none", "mscoco") == 38.6
    assert published.accuracy("mcunet", "tinytrain", "my_photos") is None
    assert published.accuracy("my_net", "tinytrain", "cub") is None
    assert published.costs("mcunet", "tinytrain") == (0.89 * 2**20, 6.51e6)
    assert published.costs("mcunet", "none") is None
    averages = {"mcunet": 69.3, "mobilenet_v2": 65.6, "proxyless_nas": 68.3}
    for net, average in averages.items():
        cells = [published.accuracy(net, "tinytrain", d) for d in TARGETS]
        assert statistics.fmean(cells) == pytest.approx(average, abs=0.1)
        assert set(published.methods(net)) == set(published.titles())


def test_means_and_intervals(summary):
    mean = summary.accuracy(NET, "none", "cub")
    # Standard deviation of 50 and 70: 10 * sqrt(2); over sqrt(2): 10.
    assert (mean.value, mean.count) == (pytest.approx(60), 2)
    assert mean.interval == pytest.approx(19.6)
    assert summary.accuracy(NET, "none", "dtd") is None
    average = summary.average(NET, "none")
    assert average.value == pytest.approx(50)
    assert average.interval == pytest.approx(19.6 / 2)
    # Of one dataset of two: no mean that could be compared.
    assert summary.accuracy(NET, "full", "cub").count == 3
    assert summary.average(NET, "full") is None
    theirs = summary.published_average(NET, "tinytrain")
    assert theirs == pytest.approx((73.8 + 69.9) / 2)


def test_a_single_episode_has_no_interval():
    one = Records(PROTOCOL, [record("none", "cub", 0, 0.5)])
    summary = Summary(one)
    assert summary.accuracy(NET, "none", "cub").interval is None
    assert row(accuracy_table(summary, NET), "None")["cub"].ours == "50.0"
    draw_tradeoff(summary, LIGHT)


def test_the_accuracy_table_lacks_no_cell(summary):
    table = accuracy_table(summary, NET)
    assert table.columns == ("Method", "Episodes", "Mean", *TARGETS)
    assert [name for name, _ in table.rows] == list(published.titles().values())
    ours = row(table, "TinyTrain")
    assert (ours["cub"].ours, ours["cub"].paper) == ("85.0 ± 9.8", "69.9")
    assert ours["cub"].best
    assert ours["Mean"].best
    assert ours["dtd"].ours == "not run"
    assert ours["dtd"].paper == "76.0"
    assert ours["fungi"].ours == "not available"
    full = row(table, "FullTrain")
    assert full["Mean"].ours == "in part"
    assert not full["cub"].best
    assert {c.ours for c in row(table, "TinyTL").values()} == {
        "",
        "not run",
        "not available",
    }
    episodes = [cells[0].ours for _, cells in table.rows]
    assert episodes == ["2", "3", *[""] * 7, "2"]
    assert "Mean: over omniglot, cub" in table.note


def test_own_datasets_come_without_the_papers_columns():
    own = Records(
        PROTOCOL,
        [record("none", "photos", 0, 0.5, net=Net("tiny", "sha256:12"))],
    )
    summary = Summary(own)
    table = accuracy_table(summary, summary.nets[0])
    assert table.columns == ("Method", "Episodes", "Mean", "photos")
    assert [name for name, _ in table.rows] == ["None"]
    assert table.heading == "Accuracy of tiny, sha256:12"
    draw_tradeoff(summary, DARK)


def test_costs_stand_beside_the_papers(summary):
    table = cost_table(summary)
    assert table.columns == ("Method", "mcunet, MiB", "mcunet, M MACs")
    cells = row(table, "TinyTrain")
    assert [c.ours for c in cells.values()] == ["1", "6.5"]
    assert [c.paper for c in cells.values()] == ["0.89", "6.51"]
    cells = row(table, "FullTrain")
    assert [c.ours for c in cells.values()] == ["900", "44.9"]
    assert [c.paper for c in cells.values()] == ["906", "44.9"]
    cell = row(table, "TinyTL")["mcunet, MiB"]
    assert (cell.ours, cell.paper) == ("not run", "542")
    # All that was run or published, and no row of empty cells.
    assert [name for name, _ in table.rows] == [
        "None",
        "FullTrain",
        "LastLayer",
        "TinyTL",
        "SparseUpdate",
        "TinyTrain",
    ]
    assert summary.cost(NET, "tinytrain").macs == 6_500_001  # The largest.


def test_times_leave_out_the_first_episode_of_a_process(summary):
    time = summary.time(NET, "tinytrain")
    assert (time.median, time.selection, time.count) == (2.0, 0.1, 2)
    cells = row(time_table(summary), "TinyTrain")
    assert cells["mcunet, s"].ours == "2 (2 to 2)"
    assert cells["mcunet, choosing"].ours == "0.1"
    assert row(time_table(summary), "None")["mcunet, choosing"].ours == ""


def test_methods_of_other_versions_have_a_name_and_a_look():
    names = ["tinytrain", "invented", "full-linear", "none"]
    assert sort_methods(names) == [
        "none",
        "tinytrain",
        "full-linear",
        "invented",
    ]
    assert title("invented") == "invented"
    assert title("adapterdrop25") == "AdapterDrop-25%"
    every = sort_methods({*methods.names(), *published.titles(), "invented"})
    styles = looks(every)
    assert len(set(styles.values())) == len(every)
    assert styles["tinytrain"] == looks(["tinytrain"])["tinytrain"]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_tradeoff_shows_both(summary, theme):
    figure = draw_tradeoff(summary, theme)
    memory, macs = figure.axes
    assert memory.get_xscale() == "log"
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    # None has no published cost, FullTrain no mean of ours.
    assert {"None", "TinyTrain", "FullTrain", "open: the paper"} < set(shown)
    points = [
        line.get_xydata()[0] for line in macs.lines if len(line.get_xdata())
    ]
    assert [6.51, (73.8 + 69.9) / 2] in [pytest.approx(list(p)) for p in points]
    assert figure.get_facecolor()[:3] == pytest.approx(
        [int(theme.background[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    )


def test_the_legend_of_all_methods_fits_into_the_figure():
    names = methods.names()
    episodes = [record(name, "cub", 0, 0.5) for name in names]
    figure = draw_tradeoff(Summary(Records(PROTOCOL, episodes, [])), LIGHT)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert len(legend.get_texts()) > len(names)
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_times_are_drawn_for_what_was_run(summary):
    (axes,) = draw_times(summary, LIGHT).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["None", "FullTrain", "TinyTrain"]


def test_chosen_channels_are_drawn_by_layer_and_dataset(summary):
    assert chosen_methods(summary, NET) == ["tinytrain"]
    figure = draw_channels(summary, NET, "tinytrain", LIGHT)
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["omniglot", "cub"]
    rows = [t.get_text() for t in axes.get_yticklabels()]
    assert rows == ["low  (4)", "high  (8)"]
    strips = [mesh.get_array().ravel().tolist() for mesh in axes.collections]
    assert strips[0] == [0.5, 0.5, 0, 0]
    assert strips[1] == [0, 0, 1, 1, 0, 0, 0, 0]


class Page(html.parser.HTMLParser):
    """Collects what a page would fetch, and its tags."""

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "source", "br"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "srcset", "href"):
                self.fetched.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_whole_and_needs_no_network(records, tmp_path):
    names = write_report(records, tmp_path / "report")
    folder = tmp_path / "report"
    assert set(names) == {file.name for file in folder.iterdir()}
    assert set(names) == {
        "report.html",
        "report.md",
        "report.csv",
        "tradeoff.png",
        "time.png",
        "channels-tinytrain-mcunet-imagenet.png",
    }
    for name in names[3:]:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.fetched) == 6  # Three figures, on light and on dark.
    assert all(x.startswith("data:image/svg+xml;base64,") for x in page.fetched)
    assert not re.search(r"(?<!w3.org/)https?://(?!www\.w3\.org)", text)
    assert "prefers-color-scheme: dark" in text
    assert "not available" in text
    markdown = (folder / "report.md").read_text()
    assert "| TinyTrain | 2 | **72.5 ± 11.0** (71.8) |" in markdown
    assert "not available: fungi" in markdown
    assert "![" in markdown
    before = (folder / "report.html").read_bytes()
    write_report(records, folder)
    assert (folder / "report.html").read_bytes() == before


def test_a_full_disk_keeps_the_report_before(records, tmp_path):
    names = write_report(records, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names}
    message = "Expected to write '.*/report.html'.*before it is safe; make room"
    with full_disk(1000), pytest.raises(OSError, match=message):
        write_report(records, tmp_path)
    assert {x.name for x in tmp_path.iterdir()} == set(names)
    for name in names:
        assert (tmp_path / name).read_bytes() == before[name]


def test_the_csv_has_every_cell(records, tmp_path):
    write_report(records, tmp_path)
    text = (tmp_path / "report.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == (9 + 1) * 10
    cells = {(r["method"], r["dataset"]): r for r in rows}
    cell = cells["tinytrain", "cub"]
    assert float(cell["accuracy"]) == pytest.approx(85)
    assert float(cell["published_accuracy"]) == 69.9
    assert cell["status"] == "run"
    assert cell["difference"] == ""
    statuses = {r["status"] for r in rows if r["dataset"] == "fungi"}
    assert statuses == {"not available"}
    mean = cells["none", "(mean)"]
    assert float(mean["accuracy"]) == pytest.approx(50)
    assert float(mean["difference"]) == pytest.approx(22.5)
    assert mean["difference_episodes"] == "4"
    cell = cells["full", "cub"]
    assert (cell["episodes"], cell["difference_episodes"]) == ("3", "2")
    assert float(cell["difference"]) == pytest.approx(5)
    assert cells["full", "(mean)"]["status"] == "in part"
    assert cells["tinytl", "(mean)"]["status"] == "not run"


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Expected at least one record"):
        write_report(Records(PROTOCOL), tmp_path)
