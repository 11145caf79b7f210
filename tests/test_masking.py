import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.masked_layers import masked
from keras_tinytrain.slices import Slice


def random(shape, seed):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=shape), tf.float32)


def built(layer, shape):
    layer.build((None, *shape[1:]))
    for i, weight in enumerate(layer.weights):
        weight.assign(random(weight.shape, i))
    return layer


# Channels, inputs, biases that train, and the channels that change by it.
PARTS = {
    "channels": ([0, 3], [], [0, 3], [0, 3]),
    "channels and biases": ([0, 3], [], range(4), range(4)),
    "inputs": ([], [1], [], range(4)),
    "inputs and biases": ([], [1], range(4), range(4)),
    "biases": ([], [], range(4), range(4)),
    "one bias": ([], [], [2], [2]),
}


KINDS = ("conv", "depthwise", "dense")
KINDS_AND_PARTS = [
    (kind, part)
    for kind in KINDS
    for part in PARTS
    if kind != "depthwise" or not PARTS[part][1]
]


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("kind", "part"), KINDS_AND_PARTS)
def test_folding_and_absorbing(kind, use_bias, scale, center, part, randomized):
    """Folded is as normed, and what is absorbed comes out of both again."""
    channels, inputs, biased, changed = PARTS[part]
    layer = {
        "conv": layers.Conv2D(4, 3, use_bias=use_bias),
        "depthwise": layers.DepthwiseConv2D(
            3, depth_multiplier=2, use_bias=use_bias
        ),
        "dense": layers.Dense(4, use_bias=use_bias),
    }[kind]
    norm = layers.BatchNormalization(scale=scale, center=center)
    model = randomized(keras.Sequential([keras.Input((5, 5, 2)), layer, norm]))
    x = random((2, 5, 5, 2), 3)
    # Folding multiplies by the scale before the sum instead of behind it.
    close = {"rtol": 1e-5, "atol": 1e-5}
    mask = masked(layer, norm)
    np.testing.assert_allclose(mask(x), model(x), **close)

    chosen = inputs or channels
    trained = Slice(
        tf.constant(chosen, tf.int32),
        random(mask.slice_shape(len(chosen), bool(inputs)), 4),
        tf.constant(list(biased), tf.int32),
        random(len(biased), 5),
        bool(inputs),
    )
    expected = mask.forward(x, trained)
    before = model(x).numpy()
    mask.absorb(trained)
    np.testing.assert_allclose(model(x), expected, **close)
    moved = (model(x).numpy() != before).reshape(-1, 4).any(axis=0)
    assert np.flatnonzero(moved).tolist() == list(changed)


def test_mask_is_one_where_a_channel_is_trained():
    layer = masked(built(layers.Dense(4), (1, 3)))
    layer.train_channels([1, 3])
    assert layer.mask.tolist() == [0, 1, 0, 1]
    assert layer.kernel_slice.shape == (3, 2)
    assert layer.bias_slice.shape == (2,)
    layer.train_channels([])
    assert layer.mask.tolist() == [0, 0, 0, 0]
    assert layer.kernel_slice is None
    assert layer.bias_slice is None


def test_masks_of_inputs_and_biases():
    layer = masked(built(layers.Dense(4), (1, 3)))
    layer.train_channels(inputs=[0, 2])
    assert layer.kernel_slice.shape == (2, 4)
    assert layer.bias_slice is None
    assert layer.mask.tolist() == layer.bias_mask.tolist() == [0, 0, 0, 0]
    assert layer.input_mask.tolist() == [1, 0, 1]
    layer.train_channels(inputs=[1], bias=True)
    assert layer.input_mask.tolist() == [0, 1, 0]
    assert layer.bias_mask.tolist() == [1, 1, 1, 1]
    assert layer.bias_slice.shape == (4,)
    layer.train_channels([2], bias=True)
    assert layer.mask.tolist() == [0, 0, 1, 0]
    assert layer.input_mask.tolist() == [0, 0, 0]
    assert (layer.kernel_slice.shape, layer.bias_slice.shape) == ((3, 1), (4,))
    layer.train_channels(bias=True)
    assert layer.kernel_slice is None
    assert layer.bias_mask.tolist() == [1, 1, 1, 1]
    assert layer.is_trained
    layer.train_channels()
    assert not layer.is_trained


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"channels": [0, 2]},
        {"channels": [0, 1, 2, 3]},
        {"channels": [1], "bias": True},
        {"inputs": [1]},
        {"inputs": [0, 2], "bias": True},
        {"bias": True},
    ],
)
def test_a_choice_can_be_made_again(choice):
    layer, again = (masked(built(layers.Dense(4), (1, 3))) for _ in range(2))
    layer.train_channels(**choice)
    again.train_channels(**layer.choice)
    for name in ("mask", "input_mask", "bias_mask"):
        expected = getattr(layer, name).tolist()
        assert getattr(again, name).tolist() == expected
    shapes = [[v.shape for v in m.trainable_variables] for m in (layer, again)]
    assert shapes[0] == shapes[1]


def test_an_unbiased_layer_owns_no_bias_slice():
    layer = masked(built(layers.Dense(4, use_bias=False), (1, 3)))
    layer.train_channels([2])
    assert layer.kernel_slice.shape == (3, 1)
    assert layer.bias_slice is None
    assert layer.bias_mask.tolist() == [0, 0, 0, 0]


class TestApplyPlan:
    def test_trainable_variables_are_the_slices(self, net, make_plan):
        model = ktt.wrap(net)
        assert model.trainable_variables == []
        ktt.apply_plan(model, make_plan(model, {"dw": [1, 5], "last": [0]}))
        shapes = [v.shape for v in model.trainable_variables]
        assert shapes == [(3, 3, 2), (2,), (3, 3, 4, 1), (1,)]
        np.testing.assert_array_equal(
            model.network.layers["dw"].kernel_slice,
            net.get_layer("dw").kernel.numpy()[..., [1, 5], 0],
        )

    def test_it_changes_no_output(self, net, make_plan, task):
        model = ktt.wrap(net)
        before = model(task.images).numpy()
        ktt.apply_plan(model, make_plan(model, {"stem": [1], "last": [0]}))
        np.testing.assert_array_equal(model(task.images), before)

    def test_a_new_plan_drops_the_old(self, net, make_plan):
        model = ktt.wrap(net)
        ktt.apply_plan(model, make_plan(model, {"last": [0, 1]}))
        model.network.layers["last"].kernel_slice.assign_add(
            tf.ones((3, 3, 4, 2))
        )
        ktt.apply_plan(model, make_plan(model, {"last": [1, 2]}))
        np.testing.assert_array_equal(
            model.network.layers["last"].kernel_slice,
            net.get_layer("last").kernel.numpy()[..., [1, 2]],
        )

    def test_a_plan_for_another_network_is_refused(self, net, make_plan):
        other = keras.Sequential(
            [keras.Input((16, 16, 3)), layers.Conv2D(4, 3)]
        )
        other = ktt.wrap(other)
        foreign = ktt.full_plan(ktt.layer_costs(other))
        model = ktt.wrap(net)
        plan = make_plan(model, {"last": [0, 1]})
        ktt.apply_plan(model, plan)
        with pytest.raises(ValueError, match=r"fingerprint.*'stem'.*conv2d"):
            ktt.apply_plan(model, foreign)
        assert model.plan is plan
        assert model.network.layers["last"].channels.tolist() == [0, 1]

    def test_inputs_and_biases(self, net, make_plan):
        model = ktt.wrap(net)
        plan = make_plan(
            model, {"dw": [1]}, inputs={"last": [0, 2]}, biases=["dw", "expand"]
        )
        ktt.apply_plan(model, plan)
        shapes = [v.shape for v in model.trainable_variables]
        assert shapes == [(8,), (3, 3, 1), (8,), (3, 3, 2, 6)]
        np.testing.assert_array_equal(
            model.network.layers["last"].kernel_slice,
            net.get_layer("last").kernel.numpy()[:, :, [0, 2]],
        )
        np.testing.assert_array_equal(
            model.network.layers["expand"].bias_slice,
            net.get_layer("expand").bias,
        )

    def test_what_no_fingerprint_knows_is_refused(self, net, make_plan):
        """Inputs of another count, and biases that the network lacks."""
        model = ktt.wrap(net)
        plan = make_plan(model, {}, inputs={"last": [0]}, biases=["stem"])
        for changed, words in (
            ({"inputs": (0,), "input_size": 9}, "with 4 inputs.*input_size=9"),
            ({"name": "dw", "size": 8, "weights": 9}, "no inputs that all"),
        ):
            layer = dataclasses.replace(plan.layers[1], **changed)
            bad = dataclasses.replace(plan, layers=(layer,))
            with pytest.raises(ValueError, match=words):
                ktt.apply_plan(model, bad)
        unbiased = keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                layers.Conv2D(2, 1, use_bias=False, name="conv"),
            ]
        )
        model = ktt.wrap(unbiased)
        bad = make_plan(model, {"conv": [0]})
        layer = dataclasses.replace(bad.layers[0], bias=True)
        bad = dataclasses.replace(bad, layers=(layer,))
        with pytest.raises(ValueError, match="'conv' to have biases"):
            ktt.apply_plan(model, bad)
        assert model.plan is None
        assert model.trainable_variables == []
        with pytest.raises(ValueError, match=r"layers \['conv'\] without"):
            make_plan(model, {}, biases=["conv"])
