import keras
import numpy as np
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.network import Network


def test_parts_make_the_whole(make_net, task):
    net = make_net(norm=True)
    network = Network(net)
    # A folded norm scales the kernel, not the sum.
    close = {"rtol": 1e-5, "atol": 1e-5}
    expected = net(task.images)
    for cut in range(len(network.ops) + 1):
        tensors = network.run({0: task.images}, 0, cut)
        assert tuple(tensors) == network.live(cut)
        outputs = network.run(tensors, cut)[network.output]
        np.testing.assert_allclose(outputs, expected, **close)


def test_live_tensors_of_the_residual(net):
    network = Network(net)
    assert network.live(0) == (0,)
    start = network.position["project"]
    names = {op.output: op.name for op in network.ops}
    live = [names[i] for i in network.live(start)]
    assert live == ["stem_relu", "dw_relu"]
    assert network.live(len(network.ops)) == (network.output,)


def test_what_depends_on_a_layer(net):
    network = Network(net)
    names = {op.output: op.name for op in network.ops}

    def behind(*layers):
        return {names[i] for i in network.behind(layers)}

    assert behind("dw") == {"dw", "dw_relu", "project", "add", "last"}
    assert behind("last", "project") == {"project", "add", "last"}
    assert behind() == set()


def test_norms_are_folded_away(make_net):
    network = Network(make_net(norm=True))
    assert "stem_bn" not in [op.name for op in network.ops]
    assert network.layers["stem"].batch_norm.name == "stem_bn"
    assert network.layers["stem"].use_bias
    assert network.layers["expand"].batch_norm is None
    assert network.layers["dw"].kernel_shape == (3, 3, 8)


def test_fingerprint_tells_layers_and_not_weights(make_net):
    first = Network(make_net(seed=0)).fingerprint
    assert first == Network(make_net(seed=1)).fingerprint
    model = ktt.wrap(make_net())
    assert first == model.network.fingerprint
    assert first == ktt.layer_costs(model).fingerprint
    other = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    assert first != Network(other).fingerprint


def model_of(*stack):
    return keras.Sequential([keras.Input((8, 8, 4)), *stack])


def norm_after_add():
    image = keras.Input((8, 8, 4))
    x = layers.Add()([image, layers.Conv2D(4, 1)(image)])
    return keras.Model(image, layers.BatchNormalization(name="bn")(x))


def norm_with_a_neighbour():
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 1)(image)
    norm = layers.BatchNormalization(name="bn")(x)
    return keras.Model(image, layers.Add()([x, norm]))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: model_of(layers.Conv2DTranspose(4, 3, name="up")), "'up'"),
        (lambda: model_of(layers.SeparableConv2D(4, 3, name="sep")), "'sep'"),
        (lambda: model_of(layers.LayerNormalization(name="ln")), "'ln'"),
        (lambda: model_of(layers.PReLU(name="prelu")), "'prelu'"),
        (norm_after_add, r"'bn' \(BatchNormalization\).*directly behind"),
        (norm_with_a_neighbour, "'bn'.*directly behind"),
        (lambda: model_of(layers.BatchNormalization(name="bn")), "'bn'"),
        (
            lambda: model_of(
                layers.Conv2D(4, 1, activation="relu"),
                layers.BatchNormalization(name="bn"),
            ),
            "'bn'.*without activation",
        ),
        (
            lambda: model_of(
                layers.Conv2D(8, 1), layers.BatchNormalization(1, name="bn")
            ),
            "'bn'.*with axis=-1",
        ),
        (lambda: model_of(layers.Conv2D(4, 3, groups=2, name="g")), "'g'"),
        (lambda: model_of(layers.Conv2D(4, 3, dilation_rate=2, name="d")), "d"),
        (
            lambda: model_of(
                layers.Conv2D(4, 3, data_format="channels_first", name="f")
            ),
            "'f'",
        ),
        (lambda: model_of(layers.ReLU()), "nothing to train"),
    ],
)
def test_layers_that_cannot_be_wrapped_are_named(build, words):
    model = build()
    before = [w.numpy() for w in model.weights]
    flags = [la.trainable for la in model.layers]
    with pytest.raises(ValueError, match=f"Expected .*Received: .*{words}"):
        ktt.wrap(model)
    for old, weight in zip(before, model.weights):
        np.testing.assert_array_equal(old, weight.numpy())
    assert [la.trainable for la in model.layers] == flags
