"""What is exported computes what the Keras model does."""

import os

import keras
import pytest
from exported_nets import (
    boundary,
    check_same,
    export,
    features_by_keras,
    images_of,
    small_nets,
)

import keras_tinytrain as ktt
from keras_tinytrain import published
from keras_tinytrain.export import layout

NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")


@pytest.mark.parametrize("head", ["linear", "prototype"])
@pytest.mark.parametrize("name", small_nets())
def test_a_small_net_is_the_same_in_numpy(name, head, randomized, tmp_path):
    net = randomized(small_nets()[name], seed=3)
    model = ktt.wrap(net, head=head)
    result, blob = export(model, tmp_path)
    assert blob.network == {
        "input_kind": 0,
        "name": name,
        "cut": "",
        "layers": len(model.network.layers),
    }
    images = images_of(model)
    check_same(model, blob, images, images)
    features = keras.ops.convert_to_tensor(features_by_keras(model, images))
    embeddings = model.window().pool(features)
    assert blob.head["depth"] == embeddings.shape[1]
    assert result.flash_bytes == result.blob.stat().st_size


def test_every_operation_and_activation_was_met(tmp_path, randomized):
    """The nets above are no test of what they do not hold."""
    kinds, activations = set(), set()
    for net in small_nets().values():
        _, blob = export(ktt.wrap(randomized(net)), tmp_path)
        kinds |= {op["kind"] for op in blob.operations}
        activations |= {op["activation"] for op in blob.operations}
    # Int8 nets alone have it: tests/micro/test_int8_engine.py.
    assert kinds == set(layout.KINDS.values()) - {layout.KINDS["dequantize"]}
    assert activations == set(layout.ACTIVATIONS.values())


def test_padding_and_activations_become_part_of_the_layer(tmp_path, randomized):
    model = ktt.wrap(randomized(small_nets()["padded"]))
    _, blob = export(model, tmp_path)
    kinds = [op["kind"] for op in blob.operations]
    assert kinds == [9, 1, 2]
    _, stem, depthwise = blob.operations
    sides = ("top", "bottom", "left", "right")
    assert [stem[side] for side in sides] == [1, 0, 2, 1]
    assert [depthwise[side] for side in sides] == [2, 2, 1, 1]
    assert (stem["activation"], depthwise["activation"]) == (2, 1)


def test_a_sum_that_reads_the_linear_output_keeps_it(tmp_path, randomized):
    _, blob = export(ktt.wrap(randomized(small_nets()["shared"])), tmp_path)
    assert [op["kind"] for op in blob.operations] == [6, 1, 8, 4]
    assert [op["activation"] for op in blob.operations] == [0, 0, 1, 0]


@pytest.mark.parametrize("from_pixels", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_a_net_of_the_zoo_is_the_same_in_numpy(name, from_pixels, tmp_path):
    weights = "imagenet" if os.environ.get("KERAS_TINYTRAIN_WEIGHTS") else None
    model = ktt.wrap(ktt.zoo.build(name, weights=weights))
    memory, macs = published.costs(name, "tinytrain")
    budget = ktt.Budget(memory=int(memory), macs=round(macs))
    result, blob = export(
        model, tmp_path, budget=budget, from_pixels=from_pixels
    )
    inputs = images = images_of(model, count=1)
    assert (blob.network["cut"] == "") == from_pixels
    if not from_pixels:
        inputs = boundary(model, blob, images)
    check_same(model, blob, inputs, images)
    costs = ktt.layer_costs(model)
    first = ktt.selection.first_affordable(costs, budget)
    flags = {c["name"]: c["flags"] for c in blob.layers}
    assert [n for n in flags if flags[n]] == [
        c.name for c in costs[first:] if not c.per_channel_input
    ]
    exported = [c for c in costs if c.name in flags]
    assert result.macs_predict == 10 * blob.head["depth"] + sum(
        c.macs for c in exported
    )
