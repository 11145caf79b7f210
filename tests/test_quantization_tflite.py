"""Every tensor of an int8 graph, against TensorFlow Lite's own kernels."""

import os

import numpy as np
import pytest
import tensorflow as tf
from quantized_nets import build_mixed, build_pooled
from small_nets import build_net

import keras_tinytrain as ktt
from keras_tinytrain.quantization.tflite import stored_input, write_tflite

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*tf.lite.Interpreter is deprecated"
)
NETS = {
    "residual": build_net,
    "normed": lambda: build_net(norm=True),
    "mixed": build_mixed,
    "pooled": build_pooled,
}


def reference(model, images):
    """Runs TensorFlow Lite's reference kernels; all tensors by name."""
    kinds = tf.lite.experimental.OpResolverType
    interpreter = tf.lite.Interpreter(
        model_content=write_tflite(model, every_tensor=True),
        experimental_op_resolver_type=kinds.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    (start,) = interpreter.get_input_details()
    found = {}
    for image in stored_input(model, images):
        interpreter.set_tensor(start["index"], image[None])
        interpreter.invoke()
        for output in interpreter.get_output_details():
            stored = interpreter.get_tensor(output["index"]).astype(int)
            less = stored - output["quantization"][1]
            found.setdefault(output["name"], []).append(less)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def ours(model, images):
    """Runs the network; all tensors by name."""
    tensors, found = {0: tf.constant(images, tf.float32)}, {}
    for i, op in enumerate(model.network.ops):
        tensors |= model.network.run(tensors, i, i + 1)
        found[op.name] = tensors[op.output].numpy()
    return found


def check(model, images):
    """Compares all tensors; returns those of the reference kernels."""
    expected, actual = reference(model, images), ours(model, images)
    assert set(model.network.layers) <= set(expected)
    for name, stored in expected.items():
        flat = actual[name].reshape(stored.shape)
        np.testing.assert_array_equal(flat, stored, err_msg=name)
    # What the graph begins with comes in as it is here.
    left = {"rescaling", "quantize", "dequantize", "flat", "global_pool"}
    assert set(actual) - set(expected) <= left
    return expected


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NETS)
def test_every_tensor_is_that_of_the_reference_kernels(name, seed):
    net = NETS[name]()
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(12, *net.input_shape[1:]))
    # Calibrated on others, so that something saturates.
    model = ktt.quantize(ktt.wrap(net), images[:4])
    check(model, 1.5 * images)


@pytest.mark.parametrize(
    ("name", "first", "before"),
    [("residual", "last", "add"), ("pooled", "narrow", "wide")],
)
def test_compiled_prefixes_have_the_same_bits(name, first, before):
    net = NETS[name]()
    images = np.random.default_rng(0).normal(size=(70, *net.input_shape[1:]))
    model = ktt.quantize(ktt.wrap(net), images[:9])
    (found,) = model.window(first).prefix(images)
    stored = reference(model, images)[before]
    np.testing.assert_array_equal(found, stored.reshape(found.shape))


def test_trained_integers_are_written(make_plan, task):
    model = ktt.quantize(ktt.wrap(build_net()), task.images)
    plan = make_plan(
        model, {"expand": [0, 3]}, inputs={"project": [1]}, biases=["last"]
    )
    model.fit(task, callbacks=[ktt.StaticSparse(plan)], views=0, verbose=0)
    before = model.network.layers["expand"].folded()[0]
    kernel = model.network.layers["expand"].kernel_slice
    assert (kernel.numpy().round() != before.numpy()[..., [0, 3]]).any()
    check(model, task.images)


@pytest.mark.skipif(
    not os.environ.get("KERAS_TINYTRAIN_WEIGHTS"), reason="needs the weights"
)
def test_a_published_net_is_that_of_the_reference_kernels():
    plain = ktt.quantization.imagenet("mcunet", include_top=True)
    model = ktt.wrap(plain)
    images = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3))
    expected = check(model, images)
    (found,) = model.window("classifier").prefix(images)
    np.testing.assert_array_equal(found[0], expected["pool"].ravel())
