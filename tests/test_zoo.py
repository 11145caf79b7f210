import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tinytrain import zoo

WEIGHTS = Path(
    os.environ.get("KERAS_TINYTRAIN_WEIGHTS")
    or Path(__file__).parents[2] / "shared" / "weights"
)
CHECKPOINTS = {
    "mcunet": "mcunet-5fps",
    "mobilenet_v2": "mbv2-w0.35",
    "proxyless_nas": "proxyless-w0.3",
}
FEATURES = {"mcunet": 160, "mobilenet_v2": 112, "proxyless_nas": 96}
MIX = {
    "mcunet": {},
    "mobilenet_v2": {"mix": True},
    "proxyless_nas": {"mix": True},
}

every_net = pytest.mark.parametrize("name", list(CHECKPOINTS))
needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_dir(), reason=f"no weights folder at {WEIGHTS}"
)


def convolutions(model):
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return [la for la in model.layers if isinstance(la, kinds)]


def published(name):
    return json.loads((WEIGHTS / f"{CHECKPOINTS[name]}.json").read_text())


def published_convolutions(net):
    yield net["stem"]
    for block in net["blocks"]:
        for role in ("expand", "depthwise", "project"):
            if block[role]:
                yield block[role]


@pytest.mark.parametrize(
    ("name", "layers", "weights", "mega_macs"),
    [
        ("mcunet", 42, 463_216, 22.454),
        ("mobilenet_v2", 52, 288_864, 17.450),
        ("proxyless_nas", 61, 357_680, 19.210),
    ],
)
def test_size_is_that_of_the_paper(name, layers, weights, mega_macs):
    convs = convolutions(zoo.build(name, weights=None, **MIX[name]))
    sizes = [int(np.prod(la.kernel.shape)) for la in convs]
    positions = [la.output.shape[1] * la.output.shape[2] for la in convs]
    macs = sum(s * p for s, p in zip(sizes, positions, strict=True))
    assert len(convs) == layers
    assert sum(sizes) == weights
    assert round(macs / 1e6, 3) == mega_macs


@needs_weights
@every_net
def test_layers_are_the_published_ones(name):
    model = zoo.build(name, weights=None)
    layers = {layer.name: layer for layer in model.layers}
    rows = list(published_convolutions(published(name)))
    assert [la.name for la in convolutions(model)] == [
        row["name"].replace("/", "_") for row in rows
    ]
    for row in rows:
        layer_name = row["name"].replace("/", "_")
        layer = layers[layer_name]
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        assert depthwise == (row["op"] == "depthwise_conv2d")
        assert list(layer.kernel_size) == row["kernel_size"]
        assert layer.strides == (row["stride"], row["stride"])
        assert layer.input.shape[-1] == row["in_channels"]
        assert layer.output.shape[-1] == row["out_channels"]
        assert layer.use_bias
        assert (f"{layer_name}_relu" in layers) == row["relu6"]
        assert (f"{layer_name}_pad" in layers) == (row["stride"] == 2)
        if row["stride"] == 2:
            pad = layers[f"{layer_name}_pad"].padding
            assert [list(p) for p in pad] == [[p, p] for p in row["padding"]]
    for block in published(name)["blocks"]:
        assert (f"{block['name']}_add" in layers) == bool(block["add"])


@needs_weights
@every_net
def test_output_is_that_of_the_published_table(name, monkeypatch):
    """Two routes: the Keras model, and the JSON read with plain `tf.nn`."""
    monkeypatch.setenv("KERAS_TINYTRAIN_WEIGHTS", str(WEIGHTS))
    model = zoo.build(name, input_shape=(45, 64, 3), include_top=True)
    net = published(name)
    arrays = np.load(WEIGHTS / f"{CHECKPOINTS[name]}.npz")

    def conv(x, row):
        kernel, bias, scale = (
            arrays[f"{row['name']}/{key}"].astype("float32")
            for key in ("kernel", "bias", "kernel_scale")
        )
        pad, stride = row["padding"], row["stride"]
        x = tf.pad(x, [(0, 0), (pad[0],) * 2, (pad[1],) * 2, (0, 0)])
        steps = (1, stride, stride, 1)
        if row["op"] == "depthwise_conv2d":
            x = tf.nn.depthwise_conv2d(x, kernel, steps, "VALID")
        else:
            x = tf.nn.conv2d(x, kernel, steps, "VALID")
        x = x * scale + bias * scale * row["input_scale"]
        return tf.nn.relu6(x) if row["relu6"] else x

    images = np.random.default_rng(0).integers(0, 256, (2, 45, 64, 3))
    x = conv((images.astype("float32") - 128) * 2 / 255, net["stem"])
    for block in net["blocks"]:
        y = conv(x, block["expand"]) if block["expand"] else x
        y = conv(conv(y, block["depthwise"]), block["project"])
        x = x + y if block["add"] else y
    x = tf.reduce_mean(x, (1, 2), keepdims=True)
    expected = conv(x, net["classifier"])[:, 0, 0]
    actual = model(images.astype("uint8"))
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def test_pixels_become_minus_one_to_one():
    rescaling = zoo.MCUNet(weights=None).get_layer("rescaling")
    pixels = np.array([0, 128, 255], "uint8")
    np.testing.assert_allclose(
        rescaling(pixels), [-256 / 255, 0, 254 / 255], atol=1e-6
    )


@every_net
@pytest.mark.parametrize("size", [(32, 32), (84, 84), (65, 96)])
def test_any_size_from_32_pixels(name, size):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), "uint8")
    fixed = zoo.build(name, weights=None, input_shape=(*size, 3))
    free = zoo.build(name, weights=None, input_shape=(None, None, 3))
    free.set_weights(fixed.get_weights())
    embeddings = fixed(images)
    assert embeddings.shape == (2, FEATURES[name])
    np.testing.assert_array_equal(embeddings, free(images.astype("float32")))


@every_net
def test_random_net_neither_fades_nor_explodes(name):
    keras.utils.set_random_seed(1)
    model = zoo.build(name, weights=None, input_shape=(64, 64, 3))
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3))
    assert 0.1 < np.std(model(images)) < 10


def test_shapes_with_mix_and_top():
    assert zoo.MCUNet(None, include_top=True).output_shape == (None, 1000)
    assert zoo.MobileNetV2(None, mix=True).output_shape == (None, 448)
    assert zoo.ProxylessNAS(None, mix=True).output_shape == (None, 384)
    both = zoo.ProxylessNAS(None, mix=True, include_top=True)
    assert both.get_layer("classifier").kernel.shape == (384, 1000)


@every_net
def test_layer_names(name):
    model = zoo.build(name, weights=None, include_top=True, **MIX[name])
    names = [layer.name for layer in model.layers]
    assert model.name == name
    assert names[:5] == ["image", "rescaling", "stem_pad", "stem", "stem_relu"]
    assert names[-2:] == ["pool", "classifier"]
    assert ("mix" in names) == bool(MIX[name])
    assert not any("/" in layer_name for layer_name in names)


@every_net
def test_keras_file_round_trip(name, tmp_path):
    model = zoo.build(name, weights=None, input_shape=(32, 32, 3), **MIX[name])
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    assert loaded.to_json() == model.to_json()
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    images = np.full((1, 32, 32, 3), 200, "uint8")
    np.testing.assert_array_equal(model(images), loaded(images))


def test_unknown_name_lists_the_nearest_first():
    message = r"one of \['mobilenet_v2', .*Received: name='mobilnet'"
    with pytest.raises(ValueError, match=message):
        zoo.build("mobilnet")


@every_net
def test_unknown_weights(name):
    message = "None, 'imagenet' or 'meta'.*Received: weights='imagnet'"
    with pytest.raises(ValueError, match=message):
        zoo.build(name, weights="imagnet")


@pytest.mark.parametrize("shape", [(31, 128, 3), (128, 31, 3), (128, 128)])
def test_bad_input_shape(shape):
    with pytest.raises(ValueError, match=r"at least 32, or None. Received"):
        zoo.MCUNet(weights=None, input_shape=shape)


def test_published_classifier_cannot_follow_mix():
    with pytest.raises(ValueError, match="reads the features without the mix"):
        zoo.MobileNetV2(weights="imagenet", include_top=True, mix=True)
