"""Int8 models: made of float ones, trained, saved; what is refused."""

import os

import keras
import numpy as np
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.network import Network
from keras_tinytrain.quantization.scales import Quantization
from keras_tinytrain.zoo.weights import read_int8


@pytest.fixture
def model(net, task):
    return ktt.quantize(ktt.wrap(net), task.images)


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


# Published nets.


@pytest.mark.skipif(
    not os.environ.get("KERAS_TINYTRAIN_WEIGHTS"), reason="needs the weights"
)
def test_published_integers_are_taken_as_they_are():
    published, scales = read_int8("mcunet-5fps")
    network = Network(ktt.quantization.imagenet("mcunet", include_top=True))
    assert list(network.layers) == [
        name for name in scales if name in published
    ]
    rescaled = 0
    for name, form in network.layers.items():
        layer, file = form.layer, published[name]
        same = layer.kernel_scale == file.kernel_scale
        rescaled += np.sum(~same)
        assert (layer.kernel_scale >= file.kernel_scale).all()
        flat = [
            k.reshape(-1, form.size)
            for k in (layer.kernel.numpy(), file.kernel)
        ]
        np.testing.assert_array_equal(*(k[:, same] for k in flat))
        np.testing.assert_array_equal(layer.bias.numpy()[same], file.bias[same])
        assert layer.quantization == Quantization(*scales[name])
    assert rescaled == 64


def test_unknown_nets_and_folders_are_named(monkeypatch):
    with pytest.raises(ValueError, match=r"'proxyless_nas'\]\. Rec.*'vgg'"):
        ktt.quantization.imagenet("vgg")
    monkeypatch.delenv("KERAS_TINYTRAIN_WEIGHTS", raising=False)
    with pytest.raises(FileNotFoundError, match="WEIGHTS to name a folder"):
        ktt.quantization.imagenet("mcunet")
