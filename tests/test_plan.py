import json
import math

import pytest

from keras_tinytrain.plan import PlanLayer, UpdatePlan

# Inputs with all biases, channels with all biases, and biases alone.
PARTS = (
    PlanLayer("in", 6, 36, (), (0, 2, 3), 4, True),
    PlanLayer("both", 6, 4, (5,), input_size=4, bias=True),
    PlanLayer("bias", 6, 4, (), bias=True, index=7),
)


def make_plan(**changes):
    values = {
        "layers": (
            PlanLayer("block1/expand", 8, 4, (0, 3, 7)),
            PlanLayer("dw", 16, 9, tuple(range(16))),
        ),
        "fingerprint": "0123456789abcdef",
        "memory_bytes": 3 * 2**20 // 2,
        "macs": 6_512_345,
        "criterion": "tinytrain",
        "cost_model": "arena",
        "score": 0.1 + 0.2,
    }
    return UpdatePlan(**{**values, **changes})


@pytest.mark.parametrize(
    "plan",
    [
        make_plan(),
        make_plan(layers=PARTS),
        make_plan(layers=(), score=0.0),
    ],
    ids=["two", "parts", "none"],
)
def test_json_round_trip(plan):
    text = plan.to_json()
    again = UpdatePlan.from_json(text)
    assert again == plan
    assert hash(again) == hash(plan)
    assert again.to_json() == text
    assert json.loads(text)["format"] == "keras_tinytrain.plan"


def test_json_text():
    plan = make_plan(layers=(PlanLayer("a", 2, 4, (1,)),), score=0.5)
    assert plan.to_json() == (
        '{"format": "keras_tinytrain.plan", "version": 3, '
        '"fingerprint": "0123456789abcdef", "memory_bytes": 1572864, '
        '"macs": 6512345, "criterion": "tinytrain", "cost_model": "arena", '
        '"score": 0.5, "layers": [\n'
        '  {"name": "a", "size": 2, "weights": 4, "channels": [1], '
        '"inputs": [], "input_size": 0, "bias": false, "index": 0}\n'
        "]}\n"
    )


def test_numbers():
    plan = make_plan()
    assert plan.channels == {
        "block1/expand": (0, 3, 7),
        "dw": tuple(range(16)),
    }
    assert plan.trained_weights == 3 * 4 + 16 * 9
    # Three of four inputs of 6 channels with 36 weights each.
    assert [c.trained_weights for c in PARTS] == [6 * 27, 4, 0]
    assert make_plan(layers=PARTS).trained_weights == 166
    assert list(make_plan(layers=PARTS).channels.values()) == [(), (5,), ()]


def test_summary(capsys):
    make_plan().summary()
    printed = capsys.readouterr().out
    assert printed.splitlines() == [
        "Layer                                 Channels     Weights",
        "=" * 58,
        "block1/expand                              3/8          12",
        "dw                                       16/16         144",
        "=" * 58,
        "Trained weights: 156",
        "Memory: 1.500 MB (arena model)",
        "Backward MACs per sample: 6.51 M",
        "Criterion: tinytrain",
    ]
    lines = []
    make_plan(layers=()).summary(print_fn=lines.append)
    assert len(lines) == 7
    assert capsys.readouterr().out == ""


def test_summary_of_parts():
    lines = []
    make_plan(layers=PARTS).summary(lines.append)
    assert lines[2:5] == [
        "in                                3/4 in, bias         162",
        "both                                 1/6, bias           4",
        "bias                                      bias           0",
    ]


def test_long_names_keep_their_end():
    lines = []
    layer = PlanLayer("x" * 40 + "/project", 8, 4, (1,))
    make_plan(layers=(layer,)).summary(lines.append)
    assert all(len(line) <= 58 for line in lines)
    assert lines[2].split()[0].endswith("/project")


def edited(**changes):
    """JSON of a plan with some fields replaced, or left out for `...`."""
    data = json.loads(make_plan().to_json()) | changes
    return json.dumps({k: v for k, v in data.items() if v is not ...})


def with_layer(**changes):
    layer = {"name": "a", "size": 4, "weights": 9, "channels": [1, 2]} | changes
    return edited(layers=[{k: v for k, v in layer.items() if v is not ...}])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[" * 100_000,
        "null",
        "3",
        "[]",
        '"text"',
        "{}",
        None,
        5,
        b"\xff\xfe\xff",
        make_plan().to_json()[:-20],
        make_plan().to_json() + "more",
        edited(format="other"),
        edited(version=1),
        edited(version=...),
        edited(layers=...),
        edited(layers=None),
        edited(layers=3),
        edited(layers="text"),
        edited(layers=[[]]),
        edited(layers=[None]),
        edited(layers={"a": 1}),
        edited(fingerprint=...),
        edited(fingerprint=7),
        edited(memory_bytes="1MB"),
        edited(memory_bytes=1.5),
        edited(memory_bytes=True),
        edited(memory_bytes=-1),
        edited(macs=None),
        edited(macs=-1),
        edited(criterion=0),
        edited(cost_model=[]),
        edited(score="high"),
        edited(score=math.nan),
        edited(score=math.inf),
        edited(surplus=1),
        edited(layers=2 * json.loads(with_layer())["layers"]),
        with_layer(name=3),
        with_layer(name=...),
        with_layer(size="4"),
        with_layer(size=-4),
        with_layer(size=None),
        with_layer(weights=9.5),
        with_layer(channels=...),
        with_layer(channels=None),
        with_layer(channels=3),
        with_layer(channels="12"),
        with_layer(channels=[1.0]),
        with_layer(channels=[True]),
        with_layer(channels=[-1]),
        with_layer(channels=[4]),
        with_layer(channels=[2, 1]),
        with_layer(channels=[1, 1]),
        with_layer(channels=[[1]]),
        with_layer(channels={"1": 1}),
        with_layer(surplus=1),
        with_layer(bias=1),
        with_layer(bias=None),
        with_layer(inputs=[0]),
        with_layer(inputs=[0], input_size=3, channels=[1]),
        with_layer(inputs=[3], input_size=3, channels=[]),
        with_layer(inputs=[1, 0], input_size=3, channels=[]),
        with_layer(inputs=None, channels=[]),
        with_layer(index=-1),
        with_layer(index=1.0),
        with_layer(input_size=-3),
        with_layer(input_size=3.0),
        with_layer(input_size=5),
    ],
    ids=lambda text: repr(text)[-40:],
)
def test_corrupt_json_is_refused(text):
    with pytest.raises(ValueError, match=r"Expected [\s\S]*Received: "):
        UpdatePlan.from_json(text)


def test_messages_name_the_fault():
    for text, words in (
        (with_layer(channels=[7]), "layer 'a' to be integers from 0 to 3"),
        (with_layer(channels=[2, 1]), "sorted distinct channels of layer 'a'"),
        (edited(version=1), "version=3.*Received: .*version=1"),
        (
            with_layer(inputs=[0], channels=[]),
            "inputs of layer 'a'.*no inputs of its own: train channels",
        ),
        (
            with_layer(inputs=[0], input_size=3),
            r"channels or inputs of layer 'a', not both.*channels=\(1, 2\)",
        ),
        (with_layer(input_size=5), "parted among its inputs.*input_size=5"),
        (edited(macs=1.5), "macs of a plan to be of type int.*1.5"),
        (edited(macs=...), "fields of `UpdatePlan`.*'macs'"),
    ):
        with pytest.raises(ValueError, match=words):
            UpdatePlan.from_json(text)


def test_channels_may_come_as_any_sequence():
    assert PlanLayer("a", 4, 9, [1, 2]) == PlanLayer("a", 4, 9, (1, 2))
