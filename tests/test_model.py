"""Law 1: wrap then unwrap is the identity."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain import heads

# Folding scales a kernel instead of the sum behind it: some rounding errors
# of float32 a layer.
FOLDED = {"rtol": 1e-4, "atol": 1e-4}

MOBILENET = "mobilenet_v2_0.35_224_imagenet_notop.npz"
folder = os.environ.get("KERAS_TINYTRAIN_WEIGHTS")
needs_weights = pytest.mark.skipif(
    not folder or not (Path(folder) / MOBILENET).is_file(),
    reason=f"no {MOBILENET} in KERAS_TINYTRAIN_WEIGHTS",
)


def conv_and_norm(**settings):
    return [layers.Conv2D(4, 3, **settings), layers.BatchNormalization()]


def sequential():
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(0.5),
            *conv_and_norm(strides=2, use_bias=False),
            layers.ReLU(6.0),
            layers.ZeroPadding2D(1),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.BatchNormalization(scale=False),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(5, use_bias=False),
            layers.BatchNormalization(center=False),
        ],
        name="stack",
    )


def nested():
    image = keras.Input((16, 16, 3))
    block = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 1, activation="swish", name="conv")(block)
    block = keras.Model(block, layers.Add()([block, x]), name="block")
    x = layers.Conv2D(4, 3, 2, "same", name="conv")(image)
    x = keras.ops.clip(block(x), -1.0, 1.0)
    tail = keras.Sequential(
        [keras.Input((8, 8, 4)), *conv_and_norm(), layers.ReLU()], name="tail"
    )
    x = layers.GlobalAveragePooling2D()(tail(x))
    return keras.Model(image, x, name="nest")


NETS = {"sequential": sequential, "nested": nested}


@pytest.fixture(params=["plain", "norm", *NETS])
def any_net(request, make_net, randomized):
    if request.param in NETS:
        return randomized(NETS[request.param]())
    return make_net(norm=request.param == "norm")


def embed(net, images):
    """What the linear head makes of a plain model's features."""
    if isinstance(net.layers[-1], layers.GlobalAveragePooling2D):
        net = keras.Model(net.input, net.layers[-1].input)
    return heads.pyramid(net(images))


def assert_same_model(actual, expected):
    assert type(actual) is type(expected)
    assert actual.name == expected.name
    assert [la.name for la in actual.layers] == [
        la.name for la in expected.layers
    ]
    assert [w.name for w in actual.weights] == [
        w.name for w in expected.weights
    ]
    for mine, theirs in zip(actual.weights, expected.weights):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    assert len(actual.trainable_weights) == len(expected.trainable_weights)


def test_unwrap_undoes_wrap(any_net, task):
    model = ktt.wrap(any_net)
    plain = ktt.unwrap(model)
    assert_same_model(plain, any_net)
    np.testing.assert_array_equal(plain(task.images), any_net(task.images))


def flags(net):
    """`trainable` of all layers, those inside of others in their place."""
    return {
        la.name: flags(la) if hasattr(la, "layers") else la.trainable
        for la in net.layers
        if la.weights
    }


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_unwrap_keeps_which_layers_are_trainable(
    any_net, whole, saved, tmp_path
):
    """Whatever a wrapped model trains, saved and loaded or not."""
    first, second, *_ = (la for la in any_net.layers if la.weights)
    # A layer and one inside of another, or all of the net.
    second = getattr(second, "layers", [None, second])[1]
    for layer in [any_net] if whole else [first, second]:
        layer.trainable = False
    before = flags(any_net)
    model = ktt.wrap(any_net)
    assert model.trainable_variables == []
    ktt.apply_plan(model, ktt.full_plan(ktt.layer_costs(model)))
    if saved:
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")
    plain = ktt.unwrap(model)
    assert flags(plain) == flags(any_net) == before
    frozen = [w.name for w in any_net.non_trainable_weights]
    assert [w.name for w in plain.non_trainable_weights] == frozen
    assert len(frozen) > 2


def test_wrapped_computes_what_the_model_does(any_net, task):
    model = ktt.wrap(any_net)
    expected = any_net(task.images)
    np.testing.assert_allclose(model(task.images), expected, **FOLDED)
    np.testing.assert_allclose(model.predict(task.images), expected, **FOLDED)
    embeddings = embed(any_net, task.images)
    np.testing.assert_allclose(model.embed(task.images), embeddings, **FOLDED)
    model = ktt.wrap(any_net, head="prototype")
    embeddings = heads.pool(expected)
    np.testing.assert_allclose(model.embed(task.images), embeddings, **FOLDED)


def test_the_users_model_stays_as_it_is(any_net, task, make_plan):
    any_net.layers[2].trainable = False
    flags = [la.trainable for la in any_net.layers]
    before = [w.numpy() for w in any_net.weights]
    model = ktt.wrap(any_net)
    ktt.apply_plan(model, ktt.full_plan(ktt.layer_costs(model)))
    model.fit(task, steps_per_epoch=1, views=0, verbose=0)
    ktt.unwrap(model)
    assert [la.trainable for la in any_net.layers] == flags
    for old, weight in zip(before, any_net.weights):
        np.testing.assert_array_equal(old, weight.numpy())


def test_unwrap_keeps_what_was_learned(any_net, task, tmp_path):
    model = ktt.wrap(any_net)
    costs = ktt.layer_costs(model)
    some = {c.name: np.arange(0, c.channels, 2) for c in costs}
    ktt.apply_plan(model, ktt.selection.make_plan(some, costs, "some"))
    model.compile(keras.optimizers.SGD(0.05))
    model.fit(task, steps_per_epoch=3, views=0, verbose=0)
    embeddings = model.embed(task.images)
    plain = ktt.unwrap(model)
    learned = embed(plain, task.images)
    np.testing.assert_allclose(learned, embeddings, **FOLDED)
    assert np.abs(learned - embed(any_net, task.images)).max() > 1e-3

    plain.save(tmp_path / "plain.keras")
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(loaded(task.images), plain(task.images))
    again = ktt.wrap(loaded).embed(task.images)
    np.testing.assert_allclose(again, embeddings, **FOLDED)


def mobilenet(size):
    return keras.applications.MobileNetV2(
        alpha=0.35, weights=None, input_shape=(size, size, 3), include_top=False
    )


def check_mobilenet(net, size):
    images = np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3))
    images = images.astype("float32")
    model = ktt.wrap(net)
    assert len(model.network.layers) == 52
    expected = net(images)
    scale = np.abs(expected).max()
    # 52 folded layers.
    np.testing.assert_allclose(
        model(images) / scale, expected / scale, atol=1e-4
    )
    assert_same_model(ktt.unwrap(model), net)


def test_mobilenet_of_keras(randomized):
    check_mobilenet(randomized(mobilenet(64)), 64)


@needs_weights
def test_mobilenet_of_keras_with_real_weights():
    net = mobilenet(96)
    with np.load(Path(folder) / MOBILENET) as arrays:
        for layer in net.layers:
            for weight in layer.weights:
                key = f"{layer.name}/{weight.name}"
                if isinstance(layer, layers.DepthwiseConv2D):
                    key = f"{layer.name}/depthwise_kernel"
                weight.assign(arrays[key])
    check_mobilenet(net, 96)


def test_wrapping_twice_is_refused(net):
    model = ktt.wrap(net)
    with pytest.raises(ValueError, match=r"wrapped already. Use `unwrap`"):
        ktt.wrap(model)


def test_an_unknown_head_is_refused(net):
    with pytest.raises(ValueError, match=r"'linear'.*Received: head='mlp'"):
        ktt.wrap(net, head="mlp")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "mse"}, "loss='mse'"),
        ({"metrics": ["mae"]}, r"metrics=\['mae'\]"),
    ],
)
def test_compile_takes_no_other_loss(net, settings, words):
    with pytest.raises(ValueError, match=f"Expected .*Received: {words}"):
        ktt.wrap(net).compile("adam", **settings)


class TestEvaluate:
    def test_numbers(self, net, task, make_task, capsys):
        model = ktt.wrap(net)
        ktt.apply_plan(model, ktt.last_layer_plan(ktt.layer_costs(model)))
        model.fit(task, steps_per_epoch=2, views=0, verbose=0)
        query = make_task(count=9, seed=0)
        logits = model.predict(query.images, batch_size=4)
        assert logits.shape == (9, 3)
        np.testing.assert_allclose(logits, model(query.images), **FOLDED)
        loss, accuracy = model.evaluate(query, verbose=0)
        assert capsys.readouterr().out == ""
        expected = heads.cross_entropy(query.labels, logits)
        assert loss == pytest.approx(float(np.mean(expected)), rel=1e-5)
        hits = logits.argmax(axis=1) == query.labels
        assert accuracy == pytest.approx(hits.mean())
        named = model.evaluate(query.images, query.labels, return_dict=True)
        assert named == pytest.approx({"loss": loss, "accuracy": accuracy})
        assert f"accuracy: {accuracy:.4f}" in capsys.readouterr().out

    def test_before_fit_it_is_refused(self, net, task):
        with pytest.raises(ValueError, match=r"Call `fit` on a support set"):
            ktt.wrap(net).evaluate(task)

    def test_bad_query_sets_are_refused(self, net, task, make_task):
        model = ktt.wrap(net)
        ktt.apply_plan(model, ktt.last_layer_plan(ktt.layer_costs(model)))
        model.fit(task, steps_per_epoch=0, views=0, verbose=0)
        with pytest.raises(ValueError, match="labels from 0 to 2"):
            model.evaluate(make_task(way=4))
        with pytest.raises(ValueError, match="images with 3 channels"):
            model.evaluate(task.images[..., :1], task.labels)
        words = r"shape \(16, 16, 3\). Received: .*\(8, 8, 3\)"
        with pytest.raises(ValueError, match=words):
            model.evaluate(make_task(size=8))
