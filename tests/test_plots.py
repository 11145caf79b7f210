import numpy as np
import pytest
from full_disk import full_disk

import keras_tinytrain as ktt
from keras_tinytrain.plan import PlanLayer, UpdatePlan
from keras_tinytrain.plots import COLORS, plot_plan, plot_stream

NETWORK = ("a", "b", "c", "low", "high")


def make_plan(**channels):
    """A plan of layers of 8 channels with 10 weights each."""
    layers = [
        PlanLayer(name, 8, 10, tuple(chosen), index=NETWORK.index(name))
        for name, chosen in channels.items()
    ]
    return UpdatePlan(tuple(layers), "net", 2**20, 3_000_000, "test", "paper")


def layers_of(figure):
    return [t.get_text() for t in figure.axes[0].get_yticklabels()]


def trained_spans(figure, color):
    """Ends of the coloured parts of all strips, in % of a layer."""
    from matplotlib.colors import to_rgba

    spans = set()
    for strip in figure.axes[0].collections:
        if tuple(strip.get_facecolor()[0]) == to_rgba(color):
            for path in strip.get_paths():
                x = path.vertices[:, 0]
                spans.add((float(x.min()), float(x.max())))
    return spans


def test_one_plan_shows_its_channels_and_weights():
    figure = plot_plan(make_plan(low=(0, 1, 5), high=range(8)))
    assert layers_of(figure) == ["low  (8)", "high  (8)"]
    # 0 and 1 are one span; 5 is the sixth of eight; all of `high`.
    spans = trained_spans(figure, COLORS[0])
    assert spans == {(0, 25), (62.5, 75), (0, 100)}
    assert [bar.get_width() for bar in figure.axes[1].patches] == [30, 80]
    title = figure.get_suptitle()
    assert "110 weights, 1.00 MB (paper model), 3.00 M" in title


def make_mixed(inputs):
    """Inputs with biases, a channel, and biases alone."""
    plan = make_plan(b=(2,))
    first = PlanLayer("a", 8, 10, (), inputs, 4, True)
    last = PlanLayer("c", 8, 10, (), bias=True, index=2)
    layers = (first, *plan.layers, last)
    return UpdatePlan(layers, "net", 2**20, 3_000_000, "test", "paper")


def test_inputs_have_rows_of_their_own_size():
    figure = plot_plan(make_mixed((0, 2)))
    assert layers_of(figure) == ["a  (4 in)", "b  (8)", "c  (8)"]
    assert trained_spans(figure, COLORS[0]) == {(0, 25), (50, 75), (25, 37.5)}
    assert [bar.get_width() for bar in figure.axes[1].patches] == [40, 10, 0]
    texts = [t.get_text() for t in figure.axes[1].texts]
    assert texts == [" 2 of 4, biases", " 1 of 8", " biases"]
    assert figure.axes[0].get_xlabel().startswith("Channels, first")
    figure = plot_plan(make_plan(b=(2,)))
    assert figure.axes[0].get_xlabel().startswith("Output channels, first")


def test_inputs_of_many_plans_are_counted():
    count = len(COLORS) + 1
    plans = [make_mixed((1,))] * (count - 1) + [make_mixed((1, 3))]
    figure = plot_plan(plans)
    shares = figure.axes[0].collections[0].get_array().ravel().tolist()
    assert shares == [0, count, 0, 1]
    mean = figure.axes[1].patches[0].get_width()
    assert mean == pytest.approx((20 * (count - 1) + 40) / count)


def test_several_plans_share_the_rows_of_their_layers():
    plans = [make_plan(a=(0,), c=(1,)), make_plan(b=(2,), c=(3,))]
    figure = plot_plan(plans, labels=["x", "y"], title="Two")
    assert layers_of(figure) == ["a  (8)", "b  (8)", "c  (8)"]
    assert trained_spans(figure, COLORS[0]) == {(0, 12.5), (12.5, 25)}
    assert trained_spans(figure, COLORS[1]) == {(25, 37.5), (37.5, 50)}
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert [t.split(":")[0] for t in texts] == ["x", "y"]
    assert figure.get_suptitle() == "Two"


@pytest.mark.parametrize("times", [1, 2])
def test_layers_are_in_network_order(net, times):
    """Also those that are in no plan together, whatever their names."""
    costs = ktt.layer_costs(ktt.wrap(net))
    names = [cost.name for cost in costs]
    assert names == ["stem", "expand", "dw", "project", "last"]
    plans = [
        ktt.selection.make_plan({name: np.arange(2)}, costs, "test")
        for name in sorted(names)
    ]
    rows = layers_of(plot_plan(plans * times))  # Strips, then shares.
    assert [row.split()[0] for row in rows] == names


def test_many_plans_are_counted():
    count = len(COLORS) + 1
    plans = [make_plan(a=(0,))] * (count - 1) + [make_plan(a=(0, 7))]
    figure = plot_plan(plans)
    shares = figure.axes[0].collections[0].get_array().ravel().tolist()
    assert shares == [count, 0, 0, 0, 0, 0, 0, 1]
    mean = figure.axes[1].patches[0].get_width()
    assert mean == pytest.approx((10 * (count - 1) + 20) / count)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_figure_is_saved(tmp_path, count):
    path = tmp_path / "plan.png"
    plot_plan([make_plan(a=(0,))] * count, path=path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5_000


def test_a_figure_that_finds_no_room_is_named(tmp_path):
    path = tmp_path / "plan"
    message = r"Expected to write '.*plan.png'. Received: File too large"
    with full_disk(1000), pytest.raises(OSError, match=message):
        plot_plan(make_plan(a=(0,)), path=path)
    assert not list(tmp_path.iterdir())
    plot_plan(make_plan(a=(0,)), path=path)
    assert [x.name for x in tmp_path.iterdir()] == ["plan.png"]


def test_a_plan_that_trains_nothing_has_a_figure(tmp_path):
    figure = plot_plan(make_plan(), path=tmp_path / "plan.png")
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert texts == ["nothing is trained"]


def test_refuses_what_is_not_one_network():
    with pytest.raises(ValueError, match="Received: 0 plans"):
        plot_plan([])
    other = UpdatePlan((), "other", 0, 0, "test", "paper")
    with pytest.raises(ValueError, match=r"\['net', 'other'\]"):
        plot_plan([make_plan(), other])
    with pytest.raises(ValueError, match="Expected 1 labels"):
        plot_plan(make_plan(), labels=["a", "b"])


def test_pyplot_does_not_hear_of_the_figure():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plot_plan(make_plan(a=(0,)))
    assert pyplot.get_fignums() == before


def test_a_stream_has_a_panel_for_each_run_and_a_line_for_each_class(tmp_path):
    """A class has points from when it has come."""
    tests = [
        {"seen": 25, "accuracy": 0.75, "by_class": {"a": 1.0, "b": 0.5}},
        {
            "seen": 50,
            "accuracy": 0.4,
            "by_class": {"a": 0.3, "b": 0.4, "c": 0.5},
        },
    ]
    path = tmp_path / "stream.png"
    figure = plot_stream({"60 stored": tests, "None stored": tests}, path=path)
    assert [axes.get_title() for axes in figure.axes] == [
        "60 stored",
        "None stored",
    ]
    lines = {
        line.get_label(): line.get_xydata().tolist()
        for line in figure.axes[0].lines
    }
    assert lines == {
        "a": [[25, 100], [50, 30]],
        "b": [[25, 50], [50, 40]],
        "c": [[50, 50]],
        "all": [[25, 75], [50, 40]],
    }
    assert path.read_bytes().startswith(b"\x89PNG")
