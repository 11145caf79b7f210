"""Nets for the device, and what Keras computes with them."""

import keras
import numpy as np
from blob_interpreter import run
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import read_blob


def export(model, folder, **options):
    """Exports; returns the result and the blob."""
    result = ktt.export_micro(model, folder, **options)
    return result, read_blob(result.blob.read_bytes())


def images_of(model, count=2, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, *model.network.input_shape[1:])
    return rng.uniform(0, 255, shape).astype("float32")


def features_by_keras(model, images):
    """Returns the map in front of the head."""
    tensors = model.network.run({0: keras.ops.convert_to_tensor(images)})
    return tensors[model.network.features].numpy()


def check_same(model, blob, inputs, images):
    expected = features_by_keras(model, images)
    actual = run(blob, inputs)[-1].reshape(expected.shape)
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(actual, expected, atol=2e-5 * scale, rtol=1e-4)


def boundary(model, blob, images):
    """Computes the tensor where a tail is cut, with Keras."""
    tensors, found = {0: keras.ops.convert_to_tensor(images)}, None
    for i, op in enumerate(model.network.ops):
        tensors |= {op.output: op(tensors)}
        if op.name == blob.network["cut"]:
            found = i, tensors[op.output]
    position, tensor = found
    # An activation behind it has become part of it.
    following = model.network.ops[position + 1 :]
    if following and isinstance(following[0].operation, layers.ReLU):
        tensor = tensors[following[0].output]
    return tensor.numpy()


def small_nets():
    """Nets of odd sizes with every operation, by name."""
    image = keras.Input((11, 14, 3))
    nets = {}

    def net(name, output):
        nets[name] = keras.Model(image, output, name=name)

    x = layers.Rescaling(0.01, -1.0)(image)
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(x)
    x = layers.Conv2D(5, 3, strides=2, padding="valid")(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D((5, 3), padding="same")(x)
    x = layers.Activation("relu")(x)
    net("padded", layers.GlobalAveragePooling2D()(x))

    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    a = layers.ReLU()(x)
    b = layers.Conv2D(4, 1, activation="relu6")(a)
    c = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(b)
    x = layers.Add()([a, b, c])
    x = layers.ReLU()(x)
    net("sums", layers.Conv2D(6, (2, 5), strides=(3, 2), padding="same")(x))

    x = layers.Conv2D(4, 4, padding="same", strides=3)(image)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.ReLU()(x)
    x = layers.AveragePooling2D((1, 2), strides=1, padding="same")(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.ReLU(6.0)(x)
    x = layers.Dense(9, activation="relu")(x)
    net("vector", layers.Dense(7, use_bias=False)(x))

    x = layers.Conv2D(3, 2)(image)
    x = layers.Dense(5)(x)  # On a map: a pointwise convolution.
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    net("flat", layers.Flatten()(layers.Conv2D(4, 1)(x)))

    x = layers.AveragePooling2D(2, padding="valid")(image)
    x = layers.Conv2D(4, 3)(x)
    # The sum reads what is not yet clamped: no activation merges.
    net("shared", layers.Add()([x, layers.ReLU()(x)]))
    return nets


def build_planned():
    """Wraps a net under a plan of all kinds."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(image)
    y = layers.Conv2D(16, 1, activation="relu6", name="expand")(x)
    y = layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, name="depthwise"
    )(y)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.Conv2D(8, 1, name="project")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.Conv2D(12, 1, activation="relu", name="last")(x)
    net = keras.Model(image, layers.GlobalAveragePooling2D()(x), name="Net 1")
    model = ktt.wrap(net)
    ktt.apply_plan(model, plan_of(model))
    return model


def plan_of(model):
    costs = ktt.layer_costs(model)
    channels = {
        "expand": np.array([0, 3, 15]),
        "depthwise": np.array([2, 9]),
        "last": np.array([], int),
    }
    return ktt.selection.make_plan(
        channels,
        costs,
        "test",
        inputs={"project": np.array([1, 4])},
        biases={"last", "project"},
    )


def rebuilt(model):
    """Wraps the unwrapped model again, without what has been learned."""
    plain = ktt.wrap(keras.models.clone_model(model.source))
    plain.source.set_weights(model.source.get_weights())
    ktt.apply_plan(plain, plan_of(plain))
    return plain
