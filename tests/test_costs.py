import keras
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain import zoo

MIB = 1024**2


@pytest.fixture(scope="module")
def paper_costs():
    """Costs of the paper's variants of the three nets, at 128x128."""
    mixed = {"mobilenet_v2", "proxyless_nas"}
    found = {}
    for name in ("mcunet", "mobilenet_v2", "proxyless_nas"):
        mix = {"mix": True} if name in mixed else {}
        model = ktt.wrap(zoo.build(name, weights=None, **mix))
        found[name] = ktt.layer_costs(model, cost_model="paper")
    return found


@pytest.mark.parametrize(
    ("name", "layers", "weights", "mega_macs"),
    [
        ("mcunet", 42, 463_216, 44.9),
        ("mobilenet_v2", 52, 288_864, 34.9),
        ("proxyless_nas", 61, 357_680, 38.4),
    ],
)
def test_published_full_train(paper_costs, name, layers, weights, mega_macs):
    costs = paper_costs[name]
    assert len(costs) == layers
    assert sum(c.weights for c in costs) == weights
    plan = ktt.full_plan(costs)
    assert plan.trained_weights == weights
    assert round(plan.macs / 1e6, 1) == mega_macs
    assert plan.macs == costs.full_macs == 2 * sum(c.macs for c in costs)


@pytest.mark.parametrize(
    ("name", "mebibytes", "mega_macs"),
    [
        ("mcunet", 2.03, None),
        ("mobilenet_v2", 1.64, 0.80),
        ("proxyless_nas", 1.06, 0.59),
    ],
)
def test_published_last_layer(paper_costs, name, mebibytes, mega_macs):
    """Both tables agree; MCUNet's published MACs are of another layer."""
    plan = ktt.last_layer_plan(paper_costs[name])
    assert round(plan.memory_bytes / MIB, 2) == mebibytes
    if mega_macs is not None:
        assert round(plan.macs / 1e6, 2) == mega_macs


def test_layers_by_hand(net):
    costs = ktt.layer_costs(ktt.wrap(net))
    assert [c.name for c in costs] == [
        "stem",
        "expand",
        "dw",
        "project",
        "last",
    ]
    stem, expand, depthwise, _, last = costs
    # 3x3x3 weights for each of 4 channels, at 8x8 positions.
    assert (stem.channels, stem.weights, stem.biases) == (4, 108, 4)
    assert (stem.inputs, expand.inputs, last.inputs) == (3, 4, 4)
    assert stem.macs == 108 * 64
    assert (stem.input_bytes, stem.output_bytes) == (4 * 768, 4 * 256)
    assert (expand.weights, expand.macs) == (32, 32 * 64)
    assert (depthwise.weights, depthwise.macs) == (72, 72 * 64)
    assert depthwise.per_channel_input
    assert depthwise.inputs == 0
    assert not last.per_channel_input
    # "valid", stride 2: 3x3 positions.
    assert (last.weights, last.macs) == (216, 216 * 9)
    # The stem is the largest: 3072 bytes in, 1024 out. The depthwise layer,
    # 2048 in and 2048 out, is computed in place.
    assert costs.peak_bytes == 4096


def test_a_folded_norm_brings_biases(make_net):
    costs = ktt.layer_costs(ktt.wrap(make_net(norm=True)))
    assert costs[0].biases == 4


def test_depth_multiplier_and_dense():
    model = keras.Sequential(
        [
            keras.Input((5, 7, 2)),
            layers.DepthwiseConv2D(3, depth_multiplier=3, use_bias=False),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    depthwise, dense = ktt.layer_costs(ktt.wrap(model))
    assert (depthwise.channels, depthwise.weights) == (6, 54)
    assert depthwise.macs == 54 * 3 * 5
    assert depthwise.biases == 0
    assert (dense.weights, dense.macs, dense.biases) == (360, 360, 4)
    assert (dense.input_bytes, dense.output_bytes) == (360, 16)


@pytest.mark.parametrize("cost_model", ["paper", "arena"])
def test_more_channels_never_cost_less(net, cost_model):
    costs = ktt.layer_costs(ktt.wrap(net), cost_model=cost_model)
    for cost in costs:
        memory = [
            costs.memory_bytes({cost.name: n}) for n in range(cost.channels + 1)
        ]
        macs = [costs.macs({cost.name: n}) for n in range(cost.channels + 1)]
        assert memory == sorted(set(memory))
        assert macs == sorted(set(macs))


def test_full_train_bytes_by_hand(net):
    """Batch 100 of what goes in and out of layers, 16 bytes a weight."""
    stem = 768 + 256 + 256  # The last is that of the activation.
    expand = 256 + 512 + 512
    depthwise = 512 + 512 + 512
    project = 512 + 256
    last = 256 + 54 + 54
    stored = stem + expand + depthwise + project + last
    weights = 108 + 32 + 72 + 32 + 216
    expected = 4 * 100 * stored + 16 * weights
    assert ktt.costs.full_train_bytes(ktt.wrap(net)) == expected


def test_an_unknown_cost_model_is_refused(net):
    words = "'arena' or 'paper'.*Received: cost_model='exact'"
    with pytest.raises(ValueError, match=words):
        ktt.layer_costs(ktt.wrap(net), cost_model="exact")


def test_a_model_without_size_is_refused():
    model = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(2, 3, name="conv")]
    )
    words = "fixed input size.*'conv'.*Build the model"
    with pytest.raises(ValueError, match=words):
        ktt.layer_costs(ktt.wrap(model))
