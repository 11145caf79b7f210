"""Quantisation-aware scaling, by hand and in `fit`."""

import keras
import numpy as np
import tensorflow as tf

import keras_tinytrain as ktt


def test_sgd_by_hand():
    weights = keras.Variable([10.0, 20.0])
    optimizer = ktt.QASOptimizer(keras.optimizers.SGD(0.5))
    optimizer.build([weights])
    optimizer.set_steps([tf.constant([0.5, 1.0])])
    optimizer.apply([tf.constant([1.0, 3.0])], [weights])
    # 10 - 0.5 * 1 / 0.5 ** 2, and as without.
    np.testing.assert_array_equal(weights.numpy(), [8.0, 18.5])
    assert optimizer.iterations == 1


def test_adam_steps_in_real_weights():
    weights = keras.Variable([10.0, 20.0])
    optimizer = ktt.QASOptimizer(keras.optimizers.Adam(0.25))
    optimizer.build([weights])
    optimizer.set_steps([tf.constant([0.5, 0.125])])
    optimizer.apply([tf.constant([1.0, -30.0])], [weights])
    np.testing.assert_allclose(weights.numpy(), [9.5, 22.0], rtol=1e-6)


def test_no_gradient_changes_no_bit():
    values = np.random.default_rng(0).normal(size=50).astype("float32")
    weights = keras.Variable(values)
    optimizer = ktt.QASOptimizer(keras.optimizers.SGD(0.5))
    optimizer.build([weights])
    optimizer.set_steps([tf.fill((50,), 0.0123)])
    optimizer.apply([tf.zeros(50)], [weights])
    np.testing.assert_array_equal(weights.numpy(), values)


def test_the_inner_optimizer_is_saved():
    optimizer = ktt.QASOptimizer(keras.optimizers.SGD(0.125, momentum=0.5))
    again = ktt.QASOptimizer.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.inner.momentum == 0.5
    again.learning_rate = 0.25
    assert again.inner.learning_rate == 0.25


def test_fit_divides_by_the_square_of_the_scales(net, task, make_plan):
    changes = {}
    for name, wrapped in (("plain", lambda o: o), ("qas", ktt.QASOptimizer)):
        model = ktt.quantize(ktt.wrap(net), task.images)
        plan = make_plan(
            model, {"expand": [0, 2]}, inputs={"last": [1]}, biases=["last"]
        )
        ktt.apply_plan(model, plan)
        parts = [
            (la.kernel_slice, la.bias_slice)
            for la in model.network.layers.values()
            if la.is_trained
        ]
        before = [[v.numpy() for v in pair] for pair in parts]
        model.compile(wrapped(keras.optimizers.SGD(1e-3)))
        model.fit(task, steps_per_epoch=1, views=0, verbose=0)
        changes[name] = [
            [v.numpy() - old for v, old in zip(pair, olds)]
            for pair, olds in zip(parts, before)
        ]
    ints = [model.network.layers[n].layer for n in ("expand", "last")]
    for layer, chosen, plain, scaled in zip(
        ints, ([0, 2], slice(None)), changes["plain"], changes["qas"]
    ):
        scale = layer.kernel_scale[chosen].astype(np.float64)
        for i, step in enumerate((scale, scale * layer.source.scale)):
            assert np.abs(scaled[i]).max() > 0
            # Differences of float32 numbers up to 127 and some thousands.
            error = 2e-5 * (1 + np.abs(scaled[i]).max())
            np.testing.assert_allclose(
                scaled[i] * step**2,
                plain[i],
                atol=error * step.max() ** 2 + 2e-4,
            )


def test_the_default_is_adam_in_real_weights(net, task):
    model = ktt.quantize(ktt.wrap(net), task.images)
    model.compile()
    assert isinstance(model.optimizer, ktt.QASOptimizer)
    float_model = ktt.wrap(net)
    float_model.compile()
    assert not isinstance(float_model.optimizer, ktt.QASOptimizer)
