import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.masked_layers import masked


def random(shape, seed):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=shape), tf.float32)


def built(layer, shape):
    layer.build((None, *shape[1:]))
    for i, weight in enumerate(layer.weights):
        weight.assign(random(weight.shape, i))
    return layer


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
def test_folding_and_absorbing(kind, use_bias, scale, center, randomized):
    """Folded is as normed, and what is absorbed comes out of both again."""
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

    channels = np.array([0, 3], np.int32)
    kernel = random((*mask.kernel_shape[:-1], 2), 4)
    bias = random(2, 5)
    expected = mask.forward(x, tf.constant(channels), kernel, bias)
    before = model(x).numpy()
    mask.absorb(channels, kernel, bias)
    np.testing.assert_allclose(model(x), expected, **close)
    np.testing.assert_array_equal(
        model(x).numpy()[..., [1, 2]], before[..., [1, 2]]
    )


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


def test_an_unbiased_layer_owns_no_bias_slice():
    layer = masked(built(layers.Dense(4, use_bias=False), (1, 3)))
    layer.train_channels([2])
    assert layer.kernel_slice.shape == (3, 1)
    assert layer.bias_slice is None


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
