"""The arithmetic of int8 graphs, and how they train."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.network import Network
from keras_tinytrain.quantization.fixed_point import (
    addition_table,
    encode_multiplier,
    multiply,
)
from keras_tinytrain.quantization.requantization import (
    Requantization,
    round_half_away,
)
from keras_tinytrain.quantization.scales import (
    EXACT,
    Quantization,
    bias_limit,
    quantize_weights,
    range_quantization,
)
from keras_tinytrain.quantization.weighted_layers import Int8Dense

UNIT = Quantization(1.0, 0)


@pytest.fixture(scope="module")
def task():
    from small_nets import build_task

    return build_task()


@pytest.fixture
def model(net, task):
    return ktt.quantize(ktt.wrap(net), task.images)


def dense(inputs, outputs, **options):
    """An `Int8Dense` of random weights, built."""
    options = {
        "source": UNIT,
        "kernel_scale": np.full(outputs, 2.0**-7),
        **options,
    }
    layer = Int8Dense(Quantization(1.0, 0), name="dense", **options)
    layer.build((None, inputs))
    rng = np.random.default_rng(0)
    layer.kernel.assign(rng.integers(-120, 121, (inputs, outputs)))
    layer.bias.assign(rng.integers(-500, 500, outputs))
    return layer


# Fixed point.


def test_multipliers_by_hand():
    assert encode_multiplier(0.5) == (2**30, 0)
    assert encode_multiplier(1.0) == (2**30, 1)
    assert encode_multiplier(0.75 / 16) == (3 * 2**29, -4)
    # Rounds up to the next power of two.
    assert encode_multiplier(1 - 2.0**-40) == (2**30, 1)
    assert encode_multiplier(2.0**-40) == (0, 0)


def test_products_are_rounded_twice():
    halves = multiply(np.array([3, -3, 1, -1]), 2**30, 0)
    np.testing.assert_array_equal(halves, [2, -1, 1, 0])
    # 5 / 4 is first 2.5, hence 3, then 1.5, hence 2.
    quarters = multiply(np.array([5, 6, -6, 2, -2, 4]), 2**30, -1)
    np.testing.assert_array_equal(quarters, [2, 2, -2, 1, -1, 1])
    np.testing.assert_array_equal(
        multiply(np.array([7, -7]), 2**30, 3), [28, -28]
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_requantization_equals_the_integers(dtype):
    rng = np.random.default_rng(0)
    scales = 2.0 ** rng.uniform(-14, 6, 300)
    scales[:4] = 2.0**-14, 2.0**-1, 1.0, 2.0**6
    scales = scales.astype(np.float32)
    requantization = Requantization(UNIT, scales, UNIT, "none")
    # Half of them where the output is in range, and its halves.
    inside = (rng.uniform(-140, 140, (400, 300)) / scales).round()
    halves = ((rng.integers(-140, 140, (400, 300)) + 0.5) / scales).round()
    far = rng.integers(-EXACT, EXACT + 1, (100, 300)).astype(float)
    values = np.concatenate([inside, halves, far]).clip(-EXACT, EXACT)
    rounded = requantization.rounded(tf.constant(values, dtype))
    actual = requantization.saturated(rounded).numpy()
    mask = requantization.inside(rounded).numpy()
    for i, scale in enumerate(scales):
        expected = multiply(values[:, i], *encode_multiplier(float(scale)))
        within = (expected >= -128) & (expected <= 127)
        np.testing.assert_array_equal(mask[:, i], within)
        np.testing.assert_array_equal(actual[:, i], expected.clip(-128, 127))


def test_sums_by_hand():
    one = addition_table((1.0, 0), (1.0, 0), (1.0, 0))
    i = np.arange(-128, 128)
    np.testing.assert_array_equal(one, i[:, None] + i)
    # (3 - 1) * 0.5 + (4 + 2) * 0.25 = 2.5, in steps of 0.5.
    table = addition_table((0.5, 1), (0.25, -2), (0.5, 7))
    assert table[3 + 128, 4 + 128] == 5
    assert table[0 + 128, -2 + 128] == -1


def test_half_away_from_zero():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    values = tf.constant([0.5, -0.5, 2.5, -2.5, below, 1.4])
    expected = [1, -1, 3, -3, 0, 1]
    np.testing.assert_array_equal(round_half_away(values), expected)


# Scales.


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan, 1e-42])
def test_bad_scales_are_refused(scale):
    with pytest.raises(ValueError, match=r"positive and finite"):
        Quantization(scale, 0)
    scales = [0.01, scale, 0.01]
    with pytest.raises(ValueError, match=r"'dense'.*finite.*channel 1 of 3"):
        dense(2, 3, kernel_scale=scales)


@pytest.mark.parametrize("zero_point", [-129, 128, 0.5, None])
def test_bad_zero_points_are_refused(zero_point):
    with pytest.raises(ValueError, match=r"from -128 to 127\. Received"):
        Quantization(0.1, zero_point)


def test_a_range_by_hand():
    relu6 = range_quantization(0.0, 6.0)
    assert (relu6.zero_point, relu6.low, relu6.high) == (-128, 0, 255)
    assert relu6.scale == np.float32(6 / 255)
    assert relu6.bounds("relu6") == (0, 255)
    both = range_quantization(-1.0, 1.55)
    assert (both.zero_point, both.scale) == (-28, np.float32(0.01))
    # Zero is always held.
    assert range_quantization(3.0, 5.1).zero_point == -128
    assert Quantization(0.1, 0).bounds("relu6") == (0, 60)
    assert Quantization(0.1, 0).bounds("relu") == (0, 127)


def test_weights_by_hand():
    kernel = np.array([[1.27, 0.0], [-0.64, 0.0]])
    bias = np.array([0.5, 2.0])
    source = Quantization(0.5, 0)
    stored, integers, scale = quantize_weights(
        kernel, bias, source, UNIT, terms=2
    )
    assert scale[0] == np.float32(0.01)
    np.testing.assert_array_equal(stored[:, 0], [127, -64])
    assert integers[0] == 100
    # A channel of zeros has a scale that its bias fits to.
    np.testing.assert_array_equal(stored[:, 1], 0)
    assert abs(integers[1]) <= bias_limit(2, source)
    assert integers[1] * scale[1] * 0.5 == pytest.approx(2.0, rel=1e-6)


# Accumulators.


@pytest.mark.parametrize("inputs", [3, 388, 389, 700])
def test_accumulators_are_exact_at_their_largest(inputs):
    source = Quantization(1.0, -128)
    layer = dense(inputs, 4, source=source)
    for sign in (1, -1):
        x = tf.fill((2, inputs), 255.0)
        kernel = tf.fill((inputs, 4), 127.0 * sign)
        bias = tf.fill((4,), float(layer.bias_limit * sign))
        sums = layer.accumulate(x, kernel, bias)
        expected = sign * (255 * 127 * inputs + layer.bias_limit)
        assert set(sums.numpy().ravel().astype(np.int64)) == {expected}
        # The next number is another one.
        next_ = layer.accumulate(x, kernel, bias - sign)
        assert set((sums - next_).numpy().ravel()) == {sign}


def test_accumulators_that_could_overflow_are_refused():
    dense(50_000, 1)
    with pytest.raises(ValueError, match=r"32 bits.*'dense'.*140,000 products"):
        dense(140_000, 1)
    # A factor above one shifts first.
    with pytest.raises(ValueError, match="'dense'"):
        dense(50_000, 1, kernel_scale=[8.0])


@pytest.mark.parametrize("scale", [2.0**-15, 2.0**7])
def test_factors_out_of_range_are_refused(scale):
    with pytest.raises(ValueError, match=r"'dense'.*kernel scale / output"):
        dense(2, 1, kernel_scale=[scale])


def test_a_layer_equals_integers_in_numpy():
    layer = dense(20, 5, activation="relu")
    x = np.random.default_rng(1).integers(-128, 128, (6, 20))
    sums = x @ layer.kernel.numpy().astype(int) + layer.bias.numpy()
    expected = multiply(sums, *encode_multiplier(2.0**-7)).clip(0, 127)
    actual = layer(tf.constant(x, tf.float32))
    np.testing.assert_array_equal(actual, expected)
    assert 0 < (expected == 0).mean() < 1


# Gradients.


def gradients(layer, x, d_outputs, **choice):
    """Gradients of what trains, of the input and of a gate; and an oracle."""
    form = ktt.quantization.masked.MaskedInt8Dense(layer)
    form.train_channels(**choice)
    trained = form.slices()
    gate = tf.ones((len(x), form.size))
    # Where to round is not where the gradient is.
    kernel, bias = trained.kernel + 0.3, trained.bias - 0.2
    with tf.GradientTape() as tape:
        tape.watch((x, kernel, bias, gate))
        moved = trained._replace(kernel=kernel, bias=bias)
        outputs = form.forward(x, moved, gate)
        loss = tf.reduce_sum(outputs * d_outputs)
    actual = tape.gradient(loss, (x, kernel, bias, gate))
    full = tf.cast(layer.kernel.value, tf.float32)
    full_bias = tf.cast(layer.bias.value, tf.float32)
    factor = layer.requantization.factor.astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch((x, full, full_bias, gate))
        real = (x @ full + full_bias) * factor * gate
        inside = layer.requantization.inside(
            layer.requantization.rounded(x @ full + full_bias)
        )
        loss = tf.reduce_sum(tf.where(inside, real * d_outputs, 0.0))
    return actual, tape.gradient(loss, (x, full, full_bias, gate)), inside


@pytest.mark.parametrize(
    "choice",
    [
        {"channels": [0, 3]},
        {"inputs": [1, 4, 5]},
        {"channels": [0, 1, 2, 3, 4], "bias": True},
        {"inputs": [2], "bias": True},
        {"bias": True},
    ],
)
def test_gradients_equal_those_of_the_real_layer(choice):
    rng = np.random.default_rng(2)
    layer = dense(20, 5)
    x = tf.constant(rng.integers(-128, 128, (6, 20)), tf.float32)
    d_outputs = tf.constant(rng.normal(size=(6, 5)), tf.float32)
    actual, expected, inside = gradients(layer, x, d_outputs, **choice)
    assert 0 < np.mean(inside) < 1
    d_kernel, d_bias = expected[1].numpy(), expected[2].numpy()
    if "inputs" in choice:
        d_kernel = d_kernel[choice["inputs"]]
    else:
        d_kernel = d_kernel[:, choice.get("channels", [])]
    if "bias" not in choice:
        d_bias = d_bias[choice.get("channels", [])]
    wanted = expected[0], d_kernel, d_bias, expected[3]
    for got, want in zip(actual, wanted):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_nothing_passes_where_all_is_cut_off():
    layer = dense(20, 5)
    layer.bias.assign(np.full(5, 10**6))
    x = tf.ones((3, 20))
    actual, *_ = gradients(layer, x, tf.ones((3, 5)), channels=[1, 2])
    for gradient in actual:
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))


def test_weights_at_the_end_of_their_range_only_come_back():
    layer = dense(1, 2, kernel_scale=[2.0**-7] * 2)
    form = ktt.quantization.masked.MaskedInt8Dense(layer)
    form.train_channels([0, 1])
    trained = form.slices()
    kernel = tf.constant([[130.0, -130.0]])
    for sign in (1.0, -1.0):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            outputs = form.forward(
                tf.ones((1, 1)), trained._replace(kernel=kernel)
            )
            loss = sign * tf.reduce_sum(outputs)
        found = tape.gradient(loss, kernel)[0]
        # A step goes against the gradient.
        kept, cut = (found[0], found[1]) if sign > 0 else found[::-1]
        assert kept == sign * np.float32(2.0**-7)
        assert cut == 0.0
    np.testing.assert_array_equal(
        form.replaced(trained._replace(kernel=kernel))[0], [[127.0, -127.0]]
    )


# A whole network.


def test_the_graph_is_close_to_the_float_model(net, task, model):
    expected = ktt.wrap(net).predict(task.images)
    actual = model.predict(task.images)
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.999
    layer = model.network.layers["expand"].layer
    assert (layer.kernel.dtype, layer.bias.dtype) == ("int8", "int32")


def test_what_was_learned_is_part_of_it(net, task, make_plan):
    model = ktt.wrap(net)
    ktt.apply_plan(model, make_plan(model, {"last": [1, 2]}))
    model.fit(task, steps_per_epoch=5, views=0, verbose=0)
    quantized = ktt.quantize(model, task)
    expected = model.predict(task.images)
    actual = quantized.predict(task.images)
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.99
    assert quantized.plan is None


def test_all_stages_work_unchanged(net, task, model):
    budget = ktt.Budget(memory="1MB", macs=1.0)
    plain = ktt.wrap(net)
    costs = ktt.layer_costs(model)
    assert costs.fingerprint == ktt.layer_costs(plain).fingerprint
    scores = ktt.channel_fisher(model, task)
    expected = ktt.channel_fisher(plain, task)
    every = [np.concatenate(list(s.values())) for s in (scores, expected)]
    assert np.corrcoef(*every)[0, 1] > 0.95
    history = model.fit(
        task, callbacks=[ktt.TaskAdaptiveSparse(budget)], views=0, verbose=0
    )
    assert history.history["loss"][-1] < 0.5
    assert model.evaluate(task, verbose=0)[1] > 0.9
    moved = model.network.layers["last"]
    before = moved.folded()[0].numpy()[..., moved.channels]
    kernel, _ = moved.replaced(moved.slices())
    stored = kernel.numpy()[..., moved.channels]
    assert (stored != before).any()
    np.testing.assert_array_equal(stored, stored.round())


def test_wrapping_and_saving_change_no_bit(task, model, tmp_path, make_plan):
    expected = model.predict(task.images)
    plain = ktt.unwrap(model)
    np.testing.assert_array_equal(
        plain.predict(task.images, verbose=0), expected
    )
    ktt.apply_plan(model, make_plan(model, {"expand": [0, 3]}))
    model.fit(task, steps_per_epoch=3, views=0, verbose=0)
    expected = model.predict(task.images)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(task.images), expected)
    absorbed = ktt.wrap(ktt.unwrap(model))
    embedded = [m.embed(task.images).numpy() for m in (model, absorbed)]
    np.testing.assert_array_equal(*embedded)


def test_schemes_over_inputs_and_biases_train(task, model, make_plan):
    plan = make_plan(
        model, {"dw": [1]}, inputs={"project": [0, 5]}, biases=["last"]
    )
    model.fit(task, callbacks=[ktt.StaticSparse(plan)], views=0, verbose=0)
    changed = {}
    for name, layer in model.network.layers.items():
        pairs = zip(layer.replaced(layer.slices()), layer.folded())
        changed[name] = [np.argwhere(new != old) for new, old in pairs]
    trained = {name for name, parts in changed.items() if any(map(len, parts))}
    assert trained == {"dw", "project", "last"}
    assert set(changed["dw"][0][:, -1]) == {1}
    assert set(changed["dw"][1].ravel()) <= {1}
    assert set(changed["project"][0][:, -2]) == {0, 5}
    assert not len(changed["project"][1])
    assert not len(changed["last"][0])


# Quantisation-aware scaling.


def test_sgd_by_hand():
    weights = keras.Variable([10.0, 20.0])
    optimizer = ktt.QAS(keras.optimizers.SGD(0.5))
    optimizer.build([weights])
    optimizer.set_steps([tf.constant([0.5, 1.0])])
    optimizer.apply([tf.constant([1.0, 3.0])], [weights])
    # 10 - 0.5 * 1 / 0.5 ** 2, and as without.
    np.testing.assert_array_equal(weights.numpy(), [8.0, 18.5])
    assert optimizer.iterations == 1


def test_adam_steps_in_real_weights():
    weights = keras.Variable([10.0, 20.0])
    optimizer = ktt.QAS(keras.optimizers.Adam(0.25))
    optimizer.build([weights])
    optimizer.set_steps([tf.constant([0.5, 0.125])])
    optimizer.apply([tf.constant([1.0, -30.0])], [weights])
    np.testing.assert_allclose(weights.numpy(), [9.5, 22.0], rtol=1e-6)


def test_no_gradient_changes_no_bit():
    values = np.random.default_rng(0).normal(size=50).astype("float32")
    weights = keras.Variable(values)
    optimizer = ktt.QAS(keras.optimizers.SGD(0.5))
    optimizer.build([weights])
    optimizer.set_steps([tf.fill((50,), 0.0123)])
    optimizer.apply([tf.zeros(50)], [weights])
    np.testing.assert_array_equal(weights.numpy(), values)


def test_the_inner_optimizer_is_saved():
    optimizer = ktt.QAS(keras.optimizers.SGD(0.125, momentum=0.5))
    again = ktt.QAS.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.inner.momentum == 0.5
    again.learning_rate = 0.25
    assert again.inner.learning_rate == 0.25


def test_fit_divides_by_the_square_of_the_scales(net, task, make_plan):
    changes = {}
    for name, wrapped in (("plain", lambda o: o), ("qas", ktt.QAS)):
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


def test_the_default_is_adam_in_real_weights(net, task, model):
    model.compile()
    assert isinstance(model.optimizer, ktt.QAS)
    float_model = ktt.wrap(net)
    float_model.compile()
    assert not isinstance(float_model.optimizer, ktt.QAS)


# Bad input.


@pytest.mark.parametrize("data", [None, [], np.zeros((0, 16, 16, 3))])
def test_representative_data_are_asked_for(net, data):
    with pytest.raises(
        ValueError, match=r"representative data.*Received: none"
    ):
        ktt.quantize(ktt.wrap(net), data)


def test_other_images_are_refused(net, task):
    with pytest.raises(ValueError, match=r"shape \(16, 16, 3\)"):
        ktt.quantize(ktt.wrap(net), task.images[:, :8])
    with pytest.raises(ValueError, match=r"than 0\.0\. Received: 'input'"):
        ktt.quantize(ktt.wrap(net), np.zeros((2, 16, 16, 3)))
    net.get_layer("last").bias.assign(np.full(6, np.nan))
    with pytest.raises(ValueError, match=r"finite values.*'last'"):
        ktt.quantize(ktt.wrap(net), task.images)


def test_int8_models_are_not_quantized_again(task, model):
    with pytest.raises(ValueError, match="int8 already"):
        ktt.quantize(model, task.images)


def test_a_layer_that_saturates_is_named(task, model):
    assert max(ktt.quantization.saturation(model, task.images).values()) < 0.1
    with pytest.warns(UserWarning, match="100% of .* layer 'quantize'"):
        ktt.quantization.check_saturation(model, task.images + 1e4)
    last = model.network.layers["last"].layer
    last.bias.assign(last.bias.numpy() + np.repeat([10**5, 0], [4, 2]))
    with pytest.warns(UserWarning, match="6.% of the outputs of layer 'last'"):
        ktt.quantization.check_saturation(model, task.images)


def test_what_a_relu6_cuts_off_is_no_saturation(net, task):
    bright = 100 * task.images
    model = ktt.quantize(ktt.wrap(net), bright)
    stem = model.network.layers["stem"].layer
    assert stem.quantization == Quantization(6 / 255, -128)
    assert ktt.quantization.saturation(model, bright)["stem"] == 0.0


def test_unsupported_layers_are_named():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="tanh", name="bent")(image)
    with pytest.raises(ValueError, match="'bent'"):
        ktt.quantize(ktt.wrap(keras.Model(image, x)), np.ones((1, 8, 8, 3)))


def test_names_of_nested_layers(task):
    inner = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(2, 3, name="conv")],
        name="inner",
    )
    outer = keras.Sequential([keras.Input((16, 16, 3)), inner])
    model = ktt.quantize(ktt.wrap(outer), task.images)
    assert list(Network(ktt.unwrap(model)).layers) == ["inner.conv"]
