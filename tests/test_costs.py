import keras
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain import zoo
from keras_tinytrain.costs import backward_macs, batch_train_bytes

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
        # On a device a plan without channels takes the whole network.
        least = cost_model == "arena"
        memory = [
            costs.memory_bytes({cost.name: n})
            for n in range(least, cost.channels + 1)
        ]
        macs = [costs.macs({cost.name: n}) for n in range(cost.channels + 1)]
        assert memory == sorted(set(memory))
        assert macs == sorted(set(macs))


def test_batch_train_bytes_of_everything_by_hand(net):
    """Batch 100 of what goes in and out of layers, 16 bytes a weight."""
    stem = 768 + 256 + 256  # The last is that of the activation.
    expand = 256 + 512 + 512
    depthwise = 512 + 512 + 512
    project = 512 + 256
    last = 256 + 54 + 54
    stored = stem + expand + depthwise + project + last
    weights = 108 + 32 + 72 + 32 + 216
    expected = 4 * 100 * stored + 16 * weights
    model = ktt.wrap(net)
    plan = ktt.full_plan(ktt.layer_costs(model))
    assert batch_train_bytes(model, plan) == expected


def test_batch_train_bytes_of_a_part_by_hand(net, make_plan):
    """Biases need what activations let through, and kernels their input."""
    model = ktt.wrap(net)
    every = range(6)
    plan = make_plan(model, {"last": every}, biases=["dw"])
    stored = 512 + (256 + 54 + 54)  # Activation of `dw`; `last`.
    forward = 4096  # Of one image: it takes more than what is stored.
    assert 4 * stored < forward
    expected = 100 * forward + 16 * 216
    assert batch_train_bytes(model, plan) == expected
    plan = make_plan(model, {"last": every}, biases=["stem", "project"])
    stored = 256 + 512 + 512 + (256 + 54 + 54)
    assert 4 * stored > forward
    expected = 400 * stored + 16 * 216
    assert batch_train_bytes(model, plan) == expected


@pytest.mark.parametrize("first", ["expand", "dw", "project", "last"])
def test_backward_macs_of_a_chain_are_those_of_the_plan(net, make_plan, first):
    model = ktt.wrap(net)
    costs = ktt.layer_costs(model, cost_model="paper")
    channels = {first: [0, 2], "last": [1, 3, 4]}
    plan = ktt.selection.make_plan(channels, costs, "test", biases=["stem"])
    assert backward_macs(model, plan) == plan.macs > 0


def test_backward_macs_leave_out_other_branches():
    """Two branches of 1x1 convolutions at 4x4 positions; one trains."""
    image = keras.Input((4, 4, 2))
    left = layers.Conv2D(3, 1, name="left")(image)
    left = layers.Conv2D(5, 1, name="left_end")(left)
    right = layers.Conv2D(7, 1, name="right")(image)
    right = layers.Conv2D(5, 1, name="right_end")(right)
    x = layers.Conv2D(4, 1, name="last")(layers.Add()([left, right]))
    model = ktt.wrap(keras.Model(image, x))
    costs = ktt.layer_costs(model, cost_model="paper")
    plan = ktt.selection.make_plan({"left": [0, 2]}, costs, "test")
    # Two of three channels of `left`; inputs of `left_end` and of `last`.
    assert backward_macs(model, plan) == 16 * (2 * 2 + 15 + 20)
    assert backward_macs(model, plan) < plan.macs


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
