import keras
import numpy as np
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.graph import flatten


def run(model, images):
    """Runs a model operation by operation."""
    ops, output = flatten(model)
    tensors = {0: images}
    for op in ops:
        tensors[op.output] = op(tensors)
    return tensors[output]


def test_operations_come_in_order(net):
    ops, output = flatten(net)
    assert [op.name for op in ops] == [la.name for la in net.layers[1:]]
    assert output == ops[-1].output == 8
    add = next(op for op in ops if op.name == "add")
    assert [ops[i - 1].name for i in add.inputs] == ["stem_relu", "project"]
    assert add.shape == (None, 8, 8, 4)


def test_nested_models_are_opened(net, task):
    inner = keras.Sequential(
        [keras.Input((3, 3, 6)), layers.Dense(2, name="conv")], name="inner"
    )
    outer = keras.Sequential([keras.Input((16, 16, 3)), net, inner])
    names = [op.name for op in flatten(outer)[0]]
    assert names[0] == "net/stem"
    assert names[-1] == "inner/conv"
    np.testing.assert_array_equal(run(outer, task.images), outer(task.images))


def test_operators_and_other_arguments_are_kept(task):
    x = image = keras.Input((16, 16, 3))
    x = keras.ops.clip(2.0 * x + image, -1.0, x_max=0.5)
    x = layers.Concatenate(axis=-1)([x, image, x])
    x = keras.ops.transpose(x, (0, 2, 1, 3))
    model = keras.Model(image, 1.0 - x)
    np.testing.assert_array_equal(run(model, task.images), model(task.images))


def test_a_part_of_a_model_is_read_from_its_input_to_its_output(net):
    part = keras.Model(net.input, net.get_layer("dw").output)
    names = [op.name for op in flatten(part)[0]]
    assert names == ["stem", "stem_relu", "expand", "dw"]


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def shared_layer():
    image = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same", name="twice")
    return keras.Model(image, conv(layers.ReLU()(conv(image))))


def shared_model():
    image = keras.Input((8, 8, 3))
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(3, 1, name="conv")], name="in"
    )
    return keras.Model(image, inner(inner(image)))


def layer_of_two_models():
    image = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 1, name="conv")
    inner = keras.Sequential([keras.Input((8, 8, 3)), conv], name="inner")
    return keras.Model(image, inner(conv(image)))


def two_inputs():
    images = keras.Input((8, 8, 3), name="a"), keras.Input((8, 8, 3), name="b")
    return keras.Model(images, layers.Add()(images))


def two_outputs():
    image = keras.Input((8, 8, 3))
    outputs = [layers.Conv2D(3, 1)(image), layers.Conv2D(3, 1)(image)]
    return keras.Model(image, outputs, name="pair")


def two_outputs_inside():
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layers.Add()(two_outputs()(image)))


def subclassed_inside():
    image = keras.Input((8, 8, 3))
    return keras.Model(image, Subclassed(name="inside")(image))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (shared_layer, "used once.*'twice' is used again"),
        (layer_of_two_models, "'inner/conv' is used again.*'conv'"),
        (shared_model, "used once.*'in' is used again"),
        (two_inputs, "one input and one output.*2 inputs"),
        (two_outputs, "one input and one output.*2 outputs"),
        (two_outputs_inside, "one output.*'pair'"),
        (Subclassed, "whose graph can be read.*'Subclassed'"),
        (subclassed_inside, "whose graph can be read.*'Subclassed'"),
        (lambda: keras.Sequential([layers.Dense(2)]), "without an input shape"),
        (lambda: layers.Dense(2), "Received: Dense"),
        (lambda: None, "Received: NoneType"),
    ],
)
def test_other_models_are_refused(build, words):
    with pytest.raises(ValueError, match=f"Expected .*{words}"):
        ktt.wrap(build())
