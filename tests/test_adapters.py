"""A net with lite residual modules computes what it did without."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain import zoo
from keras_tinytrain.adapters import PREFIX, add_lite_residuals


def images_of(model, count=3):
    rng = np.random.default_rng(0)
    shape = (count, *model.input_shape[1:])
    return rng.uniform(0, 255, shape).astype("float32")


def modules(model):
    """Numbers of the blocks that have a module."""
    names = [layer.name for layer in model.layers]
    return [
        int(name.removeprefix(PREFIX).removesuffix("_add"))
        for name in names
        if name.startswith(PREFIX) and name.endswith("_add")
    ]


def randomize_projections(model):
    """Lets the modules of a net say something."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if layer.name.startswith(PREFIX) and layer.name.endswith("_project"):
            values = [rng.normal(size=w.shape) * 0.1 for w in layer.weights]
            layer.set_weights(values)
    return model


def odd_net(size=13, channels=5, stride=2, depth=3, norm=False):
    """Two blocks, of which the first has a stride and no expansion."""
    image = keras.Input((size, size + 4, depth))
    x = layers.DepthwiseConv2D(3, strides=stride, padding="same")(image)
    x = layers.Conv2D(channels, 1, use_bias=not norm)(x)
    if norm:
        x = layers.BatchNormalization()(x)
    y = layers.Conv2D(7, 1, activation="relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same")(y)
    y = layers.Conv2D(channels, 1)(y)
    return keras.Model(image, layers.Add()([x, y]))


def keras_net():
    return keras.applications.MobileNetV2(
        (64, 64, 3), alpha=0.35, include_top=False, weights=None
    )


NETS = {
    "mcunet": lambda: zoo.MCUNet(weights=None),
    "mobilenet_v2": lambda: zoo.MobileNetV2(weights=None, mix=True),
    "proxyless_nas": lambda: zoo.ProxylessNAS(weights=None),
    "keras": keras_net,
    "odd": odd_net,
    "one channel": lambda: odd_net(channels=1, depth=1),
    "one pixel": lambda: odd_net(size=1, stride=1),
    "norms": lambda: odd_net(norm=True),
    "nested": lambda: keras.Sequential([keras.Input((13, 17, 3)), odd_net()]),
}


@pytest.mark.parametrize("name", NETS)
def test_it_computes_the_same_to_the_bit(name, randomized):
    net = NETS[name]()
    if not name.startswith(("mcu", "mobile", "proxy")):
        randomized(net)
    before = [w.numpy() for w in net.weights]
    images, layers_before = images_of(net), list(net.layers)
    expected = net(images).numpy()
    enlarged = add_lite_residuals(net)
    np.testing.assert_array_equal(enlarged(images), expected)
    # And not because nothing was added.
    changed = randomize_projections(enlarged)(images)
    assert np.abs(changed - expected).max() > 1e-4
    assert net.layers == layers_before
    for old, new in zip(before, net.weights):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(net(images), expected)


@pytest.mark.parametrize(
    ("size", "strides", "kernel"), [(8, 1, 5), (13, 2, 5), (4, 1, 3), (2, 2, 1)]
)
def test_a_module_by_hand(size, strides, kernel):
    """Two groups are one kernel with zeros between the groups."""
    image = keras.Input((size, size, 5))
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same")(image)
    net = keras.Model(image, layers.Conv2D(4, 1)(x))
    enlarged = randomize_projections(add_lite_residuals(net))
    layer = {name: f"{PREFIX}00_{name}" for name in ("group0", "group1")}
    groups = [enlarged.get_layer(name).kernel for name in layer.values()]
    assert [g.shape for g in groups] == [
        (kernel, kernel, 3, 3),
        (kernel, kernel, 2, 2),
    ]
    block = np.zeros((kernel, kernel, 5, 5), "float32")
    block[:, :, :3, :3], block[:, :, 3:, 3:] = groups
    project = enlarged.get_layer(f"{PREFIX}00_project")
    images = images_of(net) / 255
    y = tf.nn.avg_pool2d(images, 2, 2, "SAME")
    y = tf.nn.relu6(tf.nn.conv2d(y, block, strides, "SAME"))
    y = tf.nn.conv2d(y, project.kernel.value, 1, "SAME") + project.bias.value
    outputs = net(images)
    expected = outputs + tf.image.resize(y, outputs.shape[1:3])
    np.testing.assert_allclose(enlarged(images), expected, atol=1e-5)


def test_the_seed_gives_the_kernels():
    def kernels(seed):
        enlarged = add_lite_residuals(odd_net(), seed=seed)
        return [
            layer.kernel.numpy()
            for layer in enlarged.layers
            if layer.name.startswith(PREFIX) and "_group" in layer.name
        ]

    first, again, other = kernels(0), kernels(0), kernels(50)
    assert len(first) == 4
    for a, b, c in zip(first, again, other):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
    # Of the same shape, but not the same.
    one, two = (k for k in kernels(0) if k.shape[-1] == 2)
    assert (one[..., 0] != two[..., 0]).any()


@pytest.mark.parametrize("norm", [False, True])
def test_it_is_wrapped_and_unwrapped(norm, randomized):
    enlarged = add_lite_residuals(randomized(odd_net(norm=norm)))
    randomize_projections(enlarged)
    plain = ktt.unwrap(ktt.wrap(enlarged))
    assert [x.name for x in plain.layers] == [x.name for x in enlarged.layers]
    for old, new in zip(enlarged.weights, plain.weights):
        np.testing.assert_array_equal(old, new)
    images = images_of(enlarged)
    np.testing.assert_array_equal(plain(images), enlarged(images))


@pytest.mark.parametrize("wrapped", [False, True])
def test_it_is_saved_and_loaded(wrapped, tmp_path, randomized):
    model = randomize_projections(add_lite_residuals(randomized(odd_net())))
    if wrapped:
        model = ktt.wrap(model)
    path = tmp_path / "net.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    images = images_of(odd_net())
    np.testing.assert_array_equal(loaded(images), model(images))


def test_operations_of_a_loaded_net_get_no_name_twice(tmp_path):
    image = keras.Input((8, 8, 4))
    x = layers.Concatenate()([image[..., :1], image[..., 1:]])
    x = layers.DepthwiseConv2D(3)(x)
    net = keras.Model(image, layers.Conv2D(4, 1)(x))
    net.save(tmp_path / "net.keras")
    keras.backend.clear_session()  # As in another process.
    net = keras.saving.load_model(tmp_path / "net.keras")
    images = images_of(net)
    enlarged = add_lite_residuals(net)
    np.testing.assert_array_equal(enlarged(images), net(images))


@pytest.mark.parametrize(
    ("drop", "kept"),
    [
        (0.0, range(14)),
        (0.25, range(3, 14)),
        (0.5, range(7, 14)),
        (0.75, range(10, 14)),
        (0.999, [13]),
    ],
)
def test_the_first_blocks_are_dropped(drop, kept):
    enlarged = add_lite_residuals(zoo.MCUNet(weights=None), drop=drop)
    assert modules(enlarged) == list(kept)


@pytest.mark.parametrize("drop", [-0.1, 1.0, 75])
def test_a_share_is_expected(net, drop):
    with pytest.raises(ValueError, match=rf"a share.*Received: drop={drop}"):
        add_lite_residuals(net, drop=drop)


def test_a_net_without_blocks_is_refused():
    net = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3)], name="plain"
    )
    words = "inverted residual blocks.*Received: none in the model 'plain'"
    with pytest.raises(ValueError, match=words):
        add_lite_residuals(net)


def test_a_net_with_modules_is_refused():
    words = "without lite residual modules.*Received: .*lite_residual00_"
    with pytest.raises(ValueError, match=words):
        add_lite_residuals(add_lite_residuals(odd_net()))


def test_a_net_without_size_is_refused():
    net = zoo.MCUNet(weights=None, input_shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"fixed input size.*the image size"):
        add_lite_residuals(net)
