"""The static schemes of SparseUpdate, and the plans they make."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain import zoo
from keras_tinytrain.sparse_update import (
    Scheme,
    find_scheme,
    published_schemes,
    sparse_update_plan,
)

MIB = 1024**2
MIXED = {"mobilenet_v2", "proxyless_nas"}


@pytest.fixture(scope="module")
def models():
    """The three nets, and two of them with their final 1x1 convolution."""
    found = {}
    for name in ("mcunet", *sorted(MIXED)):
        found[name] = ktt.wrap(zoo.build(name, weights=None))
        if name in MIXED:
            net = zoo.build(name, weights=None, mix=True)
            found[f"{name} mix"] = ktt.wrap(net)
    return found


def make_scheme(model, biases, ratios, name="own"):
    costs = ktt.layer_costs(model)
    return Scheme(name, costs.fingerprint, len(costs), biases, ratios)


def test_the_published_cell(models):
    """SparseUpdate of MCUNet takes 1.43 MB and 11.9 M MACs."""
    plan = sparse_update_plan(models["mcunet"], cost_model="paper")
    assert plan.criterion == "sparseupdate 99kb"
    assert plan.trained_weights == 52_480
    assert plan.memory_bytes == 0.625 * MIB + 16 * 52_480
    assert f"{plan.memory_bytes / MIB:.2f}" == "1.43"
    # The chain ends behind the first trained weights, though the biases of
    # the layer before train as well.
    costs = ktt.layer_costs(models["mcunet"], cost_model="paper")
    chain = sum(cost.macs for cost in costs[22:])
    assert (chain, plan.macs - chain) == (9_408_256, 2_473_984)
    assert f"{plan.macs / 1e6:.2f}" == "11.88"
    assert plan.layers[0].name == costs[20].name
    assert (plan.layers[0].trained_weights, plan.layers[0].bias) == (0, True)


def test_published_plans(models):
    """By hand from the table: which layers, and how many inputs of each."""
    for model in models.values():
        costs = ktt.layer_costs(model)
        for name, scheme in published_schemes(costs).items():
            plan = sparse_update_plan(model, scheme)
            last = scheme.layers
            assert [c.name for c in plan.layers] == [
                c.name for c in costs[last - scheme.biases : last]
            ]
            assert all(c.bias for c in plan.layers)
            found = {c.name: c for c in plan.layers}
            ratios = dict(scheme.ratios)
            for index, cost in enumerate(costs):
                layer = found.pop(cost.name, None)
                ratio = ratios.get(index, 0.0)
                if layer is None:
                    assert not ratio, name
                elif cost.per_channel_input:
                    assert len(layer.channels) == int(cost.channels * ratio)
                    assert not layer.inputs
                else:
                    assert len(layer.inputs) == int(cost.inputs * ratio)
                    assert not layer.channels


def test_defaults_and_names(models):
    for name, model in models.items():
        costs = ktt.layer_costs(model)
        schemes = published_schemes(costs)
        assert len(schemes) == 5
        default = "98kb" if name.startswith("proxyless") else "99kb"
        assert next(iter(schemes)) == default
        assert find_scheme(costs).name == default
        assert find_scheme(costs, "49kb") == schemes["49kb"]
        assert schemes["49kb"].layers == len(costs) - name.endswith("mix")


def test_a_last_convolution_stays_frozen(models):
    for name in MIXED:
        plain, mixed = (
            sparse_update_plan(models[n]) for n in (name, f"{name} mix")
        )
        assert [(c.name, c.bias, len(c.inputs)) for c in plain.layers] == [
            (c.name, c.bias, len(c.inputs)) for c in mixed.layers
        ]


def test_other_sizes_and_names_of_images_and_model():
    net = zoo.MCUNet(weights=None, input_shape=(64, 64, 3))
    net = keras.Model(net.inputs, net.outputs, name="other")
    assert find_scheme(ktt.layer_costs(ktt.wrap(net))).name == "99kb"


def test_the_largest_norms_train():
    """Two inputs of four, by hand, with a folded normalization."""
    net = keras.Sequential(
        [
            keras.Input((2, 2, 4)),
            layers.Conv2D(2, 1, use_bias=False),
            layers.BatchNormalization(epsilon=0.0),
            layers.DepthwiseConv2D(1),
        ]
    )
    # Rows are inputs; the norm makes the second channel ten times as large.
    kernel = np.array([[3.0, 0.0], [0.0, 1.0], [5.0, 0.0], [-4.0, -0.1]])
    net.layers[0].set_weights([kernel[None, None]])
    net.layers[1].gamma.assign([1.0, 10.0])
    net.layers[2].kernel.assign([[[[1.0], [-2.0]]]])
    model = ktt.wrap(net)
    scheme = make_scheme(model, 2, {0: 0.5, 1: 0.5})
    conv, depthwise = sparse_update_plan(model, scheme).layers
    assert (conv.inputs, conv.bias) == ((1, 2), True)
    assert (depthwise.channels, depthwise.inputs) == ((1,), ())


def test_ties_go_to_the_first(net):
    model = ktt.wrap(net)
    last = model.network.layers["last"].layer
    last.kernel.assign(np.ones(last.kernel.shape))
    scheme = make_scheme(model, 1, {4: 0.5})
    assert sparse_update_plan(model, scheme).layers[0].inputs == (0, 1)


def test_a_ratio_of_nothing_leaves_the_biases(net):
    model = ktt.wrap(net)
    plan = sparse_update_plan(model, make_scheme(model, 2, {3: 0.0, 4: 0.1}))
    assert [(c.name, c.inputs, c.bias) for c in plan.layers] == [
        ("project", (), True),
        ("last", (), True),
    ]


def test_layers_without_biases_train_none():
    net = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.Conv2D(2, 1, use_bias=False, name="a"),
            layers.Conv2D(2, 1, name="b"),
        ]
    )
    model = ktt.wrap(net)
    plan = sparse_update_plan(model, make_scheme(model, 2, {0: 0.4}))
    assert [(c.name, c.inputs != (), c.bias) for c in plan.layers] == [
        ("a", True, False),
        ("b", False, True),
    ]


def test_json_round_trip_and_file(net, tmp_path):
    model = ktt.wrap(net)
    scheme = make_scheme(model, 3, {4: 0.25, 2: 1.0})
    assert scheme.ratios == ((2, 1.0), (4, 0.25))
    assert Scheme.from_json(scheme.to_json()) == scheme
    path = tmp_path / "scheme.json"
    path.write_text(scheme.to_json())
    assert find_scheme(ktt.layer_costs(model), path) == scheme
    assert find_scheme(ktt.layer_costs(model), str(path)) == scheme


def test_what_is_no_scheme_is_refused(net):
    text = make_scheme(ktt.wrap(net), 3, {4: 0.25}).to_json()
    data = json.loads(text)
    for bad in (
        "",
        "[]",
        b"\xff",
        text[:-9],
        json.dumps(data | {"version": 2}),
        json.dumps(data | {"format": "other"}),
        json.dumps(data | {"surplus": 1}),
        json.dumps(data | {"biases": 6}),
        json.dumps(data | {"biases": "3"}),
        json.dumps(data | {"layers": None}),
        json.dumps(data | {"name": 3}),
        json.dumps(data | {"ratios": [0.5]}),
        json.dumps(data | {"ratios": {"x": 0.5}}),
        json.dumps(data | {"ratios": {"4": "half"}}),
        json.dumps(data | {"ratios": {"4": 1.5}}),
        json.dumps(data | {"ratios": {"5": 0.5}}),
        json.dumps(data | {"ratios": {"1": 0.5}}),
        json.dumps({k: v for k, v in data.items() if k != "name"}),
    ):
        with pytest.raises(ValueError, match=r"Expected [\s\S]*Received: "):
            Scheme.from_json(bad)


def test_schemes_of_other_networks_are_refused(net, make_net, tmp_path):
    model = ktt.wrap(net)
    costs = ktt.layer_costs(model)
    assert published_schemes(costs) == {}
    with pytest.raises(ValueError, match=r"there is none.*scheme='99kb'"):
        find_scheme(costs, "99kb")
    other = dataclasses.replace(make_scheme(model, 1, {}), fingerprint="0" * 16)
    with pytest.raises(ValueError, match="5 layers with the fingerprint"):
        sparse_update_plan(model, other)
    path = tmp_path / "other.json"
    path.write_text(other.to_json())
    with pytest.raises(ValueError, match="Search one for this network"):
        find_scheme(costs, path)
    costs = ktt.layer_costs(ktt.wrap(zoo.MCUNet(weights=None)))
    with pytest.raises(ValueError, match=r"99kb, 49kb, 74kb, .*'98kb'"):
        find_scheme(costs, "98kb")
