import math

import pytest

from keras_tinytrain.budget import Budget, LayerCost, LayerCosts, fingerprint


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (262144, 262144),
        ("256KB", 262144),
        ("256 kb", 262144),
        (" 256KiB ", 262144),
        ("1MB", 1048576),
        ("0.89MB", 933232),  # 0.89 * 1048576 = 933232.64, rounded down.
        ("100b", 100),
        ("256", 256),
        (1e6, 1000000),
        (None, None),
    ],
)
def test_memory_is_read_as_bytes(memory, expected):
    assert Budget(memory=memory).memory_bytes == expected


@pytest.mark.parametrize(
    "memory",
    [
        0,
        -1,
        0.5,
        "",
        "KB",
        "-1KB",
        "1.2.3KB",
        "1GB",
        "1e3KB",
        "nanMB",
        "256KB!",
        "0KB",
        math.nan,
        math.inf,
        "9" * 400 + "MB",
        [1],
        b"1MB",
        (),
    ],
)
def test_bad_memory_is_refused(memory):
    with pytest.raises(ValueError, match=r"Expected `memory`.*Received: mem"):
        Budget(memory=memory)


@pytest.mark.parametrize("macs", [0, -1, 0.0, math.nan, math.inf, "15%", [1]])
def test_bad_macs_are_refused(macs):
    with pytest.raises(ValueError, match=r"Expected `macs`.*Received: macs="):
        Budget(macs=macs)


@pytest.mark.parametrize(
    ("macs", "limit"),
    [(0.15, 150.0), (1.0, 1000.0), (1, 1), (6.5e6, 6.5e6), (None, math.inf)],
)
def test_macs_are_a_count_or_a_fraction(macs, limit):
    assert Budget(macs=macs).macs_limit(full=1000) == limit


def test_budget_is_a_value():
    budget = Budget("256KB", 0.15)
    assert budget == Budget(262144, 0.15)
    assert hash(budget) == hash(Budget(262144, 0.15))
    assert repr(budget) == "Budget(memory_bytes=262144, macs=0.15)"
    assert Budget().memory_limit() == math.inf
    with pytest.raises(AttributeError):
        budget.macs = 1


class Device:
    """A device that takes 700 bytes, and some for each layer and input."""

    def fixed_bytes(self, learning, kept, inputs):
        layers = sum(10 + i for i in learning)
        return 700 + layers + 100 * len(kept) + 1000 * sum(inputs.values())

    def list_bytes(self, learning):
        return 5 * len(learning)


def make_costs(model):
    """Two layers with numbers that can be added up by hand."""
    device = Device() if model == "arena" else None
    first = LayerCost("first", 4, 36, 4, 360, 100, 640, False, inputs=2)
    depthwise = LayerCost("depthwise", 8, 72, 8, 720, 640, 320, True)
    return LayerCosts((first, depthwise), 740, model, device)


@pytest.mark.parametrize(
    ("counts", "memory"),
    [
        ({}, 740),
        ({"first": 0}, 740),
        # 16 bytes for each of 9 weights a channel, biases do not count.
        ({"first": 1}, 740 + 16 * 9),
        ({"depthwise": 3}, 740 + 16 * 27),
        ({"first": 4, "depthwise": 8}, 740 + 16 * 108),
    ],
)
def test_memory_of_the_paper_model(counts, memory):
    assert make_costs("paper").memory_bytes(counts) == memory


@pytest.mark.parametrize(
    ("counts", "memory"),
    [
        ({}, 700),
        # 9 weights and a bias in four copies, and 2 bytes for its number.
        ({"first": 1}, 700 + 110 + 16 * 10 + 2),
        ({"depthwise": 1}, 700 + 111 + 16 * 10 + 2),
        ({"first": 2, "depthwise": 8}, 700 + 221 + 10 * 162),
    ],
)
def test_memory_of_the_arena_model(counts, memory):
    assert make_costs("arena").memory_bytes(counts) == memory


@pytest.mark.parametrize(
    ("counts", "macs"),
    [
        ({}, 0),
        ({"depthwise": 1}, 90),
        ({"depthwise": 8}, 720),
        # As published, the gradient of the image counts: 360 + 720.
        ({"first": 1}, 1080 + 90),
        ({"first": 4, "depthwise": 8}, 2160),
    ],
)
def test_backward_macs(counts, macs):
    costs = make_costs("paper")
    assert costs.macs(counts) == macs
    assert costs.full_macs == 2160


@pytest.mark.parametrize(
    ("parts", "paper", "arena"),
    [
        # 18 of 36 weights.
        ({"inputs": {"first": 1}}, 740 + 288, 1810 + 288 + 2 + 5),
        # For biases alone no input is kept.
        ({"biases": ["depthwise"]}, 740, 711 + 8 * 16 + 5),
        (
            {"inputs": {"first": 2}, "biases": ["first", "depthwise"]},
            740 + 576,
            2821 + 576 + 2 * 2 + 12 * 16 + 10,
        ),
        # Three of eight biases belong to the trained channels already.
        (
            {"counts": {"depthwise": 3}, "biases": ["depthwise"]},
            740 + 16 * 27,
            811 + 16 * 27 + 2 * 3 + 16 * 8 + 5,
        ),
    ],
)
def test_memory_of_inputs_and_biases(parts, paper, arena):
    parts = {"counts": {}} | parts
    assert make_costs("paper").memory_bytes(**parts) == paper
    assert make_costs("arena").memory_bytes(**parts) == arena


@pytest.mark.parametrize(
    ("parts", "paper", "arena"),
    [
        ({"inputs": {"first": 1}}, 1080 + 180, 1080 + 180),
        ({"biases": ["depthwise"]}, 0, 0),
        # The arena's chain goes to the first bias, the published one does not.
        ({"biases": ["first"]}, 0, 1080),
        ({"counts": {"depthwise": 1}, "biases": ["first"]}, 90, 1080 + 90),
    ],
)
def test_macs_of_inputs_and_biases(parts, paper, arena):
    parts = {"counts": {}} | parts
    assert make_costs("paper").macs(**parts) == paper
    assert make_costs("arena").macs(**parts) == arena


@pytest.mark.parametrize("model", ["paper", "arena"])
def test_all_inputs_are_all_channels(model):
    """Two routes to the whole kernel and all biases of a layer."""
    costs = make_costs(model)
    inputs = {"counts": {}, "inputs": {"first": 2}, "biases": ["first"]}
    channels = {"counts": {"first": 4}}
    # Lists of channels are the device's: 2 bytes for each, and 5 to say that
    # these are inputs or biases. Inputs are kept apart, for 1,000 each.
    lists, said, kept = (
        (2 * (4 - 2), 5, 2 * 1000) if model == "arena" else (0, 0, 0)
    )
    memory = costs.memory_bytes(**channels)
    assert costs.memory_bytes(**inputs) == memory - lists + said + kept
    assert costs.macs(**inputs) == costs.macs(**channels)
    both = channels | {"biases": ["first"]}
    assert costs.memory_bytes(**both) == memory + said


def test_the_arena_model_needs_a_device():
    costs = LayerCosts(make_costs("paper").layers, 740, "arena")
    with pytest.raises(ValueError, match=r"memory of a device.*device=None"):
        costs.memory_bytes({"first": 1})


def test_a_chain_starts_behind_the_first_trained_layer():
    layers = [LayerCost(n, 2, 2, 0, 10, 4, 4, False) for n in "abcd"]
    costs = LayerCosts(tuple(layers), 8, "paper")
    assert costs.macs({"b": 1}) == 20 + 5
    assert costs.macs({"b": 1, "d": 2}) == 20 + 5 + 10


def test_costs_are_a_sequence():
    costs = make_costs("paper")
    assert [c.name for c in costs] == ["first", "depthwise"]
    assert costs[-1].channels == 8
    assert len(costs) == 2


def test_fingerprint_depends_on_names_sizes_and_order():
    layers = [("first", 4, 36), ("depthwise", 8, 72)]
    seen = {
        fingerprint(some)
        for some in (
            layers,
            layers[::-1],
            layers[:1],
            [("first", 4, 36), ("depthwise", 8, 73)],
            [("first", 4, 36), ("dw", 8, 72)],
            [],
        )
    }
    assert len(seen) == 6
    assert make_costs("paper").fingerprint == fingerprint(layers)
    assert make_costs("arena").fingerprint == fingerprint(layers)
