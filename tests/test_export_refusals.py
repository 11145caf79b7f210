"""What no device computes, and what is no blob, is refused by name."""

import re

import keras
import numpy as np
import pytest
from exported_nets import build_planned, rebuilt
from keras import layers

import keras_tinytrain as ktt


@pytest.fixture(scope="module")
def planned():
    return build_planned()


def unsupported():
    """Nets that no device computes, by what the message names."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(image)
    y = layers.Conv2D(4, 3, name="other")(image)
    padded = layers.ZeroPadding2D(1)(x)
    outputs = {
        "'softmax' (Softmax)": layers.Softmax(name="softmax")(x),
        "'leaky' (ReLU) with another": layers.ReLU(
            negative_slope=0.1, name="leaky"
        )(x),
        "'cap' (ReLU)": layers.ReLU(1.0, name="cap")(x),
        "'gelu' (Conv2D) with activation 'gelu'": layers.Conv2D(
            2, 1, activation="gelu", name="gelu"
        )(x),
        "'silu' (Activation) with activation 'silu'": layers.Activation(
            "silu", name="silu"
        )(x),
        "'cat' (Concatenate)": layers.Concatenate(name="cat")([x, y]),
        "'sum' (Add) with inputs of the shapes": layers.Add(name="sum")(
            [x, layers.GlobalAveragePooling2D(keepdims=True)(y)]
        ),
        "pool reads a padded tensor": layers.MaxPooling2D(name="pool")(padded),
        "the head reads a padded tensor": padded,
        "top, bottom, left, right of (1, 1, 1, 1)": layers.Conv2D(2, 1)(padded),
        "'scale' (Rescaling) with a factor": layers.Conv2D(2, 1)(
            layers.Rescaling([1.0, 2.0, 3.0], name="scale")(image)
        ),
        "'wide' (DepthwiseConv2D) with depth_mul": layers.DepthwiseConv2D(
            3, depth_multiplier=2, name="wide"
        )(x),
        "'far' (MaxPooling2D) with a window of": layers.MaxPooling2D(
            (17, 16), strides=1, padding="same", name="far"
        )(x),
        "'long' (Dense) with 72,000 inputs": layers.Dense(1, name="long")(
            layers.Flatten()(layers.Conv2D(2000, 1)(x))
        ),
        "'shape' (Reshape)": layers.Reshape((36, 4), name="shape")(x),
    }
    return {text: keras.Model(image, y) for text, y in outputs.items()}


@pytest.mark.parametrize("message", unsupported())
def test_what_no_device_knows_is_refused_by_name(message, tmp_path):
    model = ktt.wrap(unsupported()[message])
    with pytest.raises(ValueError, match=re.escape(message)):
        ktt.export_micro(model, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_bad_arguments_are_refused(planned, tmp_path, net):
    def check(message, model=planned, **options):
        with pytest.raises(ValueError, match=message):
            ktt.export_micro(model, tmp_path / "none", **options)

    check("Expected a wrapped model. Received: Functional", net)
    check(
        "max_way to be an integer from 2 to 65535. Received: max_way=1",
        max_way=1,
    )
    check("max_way='3'", max_way="3")
    check("criterion to be one of", criterion="best")
    check("cost_model to be", cost_model="real")
    check("smallest", budget=ktt.Budget(memory=100))
    image = keras.Input((None, None, 3))
    open_size = ktt.wrap(keras.Model(image, layers.Conv2D(2, 3)(image)))
    check("fixed input size", open_size)
    other = rebuilt(planned)
    kernel = other.source.get_layer("last").kernel
    kernel.assign(kernel.numpy() * np.nan)
    check("finite weights of layer 'last'", other)
    assert not (tmp_path / "none").exists()
