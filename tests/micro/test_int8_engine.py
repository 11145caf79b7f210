"""The engine computes the int8 graph of Keras, bit for bit."""

import os

import keras
import numpy as np
import pytest
from engine_library import OK
from int8_devices import Int8Device
from keras import layers
from quantized_nets import build_mixed, build_pooled
from small_nets import build_net, randomize

import keras_tinytrain as ktt
from keras_tinytrain import quantization
from keras_tinytrain.quantization.tflite import stored_input

NETS = {
    "residual": build_net,
    "normed": lambda: build_net(norm=True),
    "mixed": build_mixed,
    "pooled": build_pooled,
}


def images_of(model, count, seed=0):
    rng = np.random.default_rng(seed)
    shape = count, *model.network.input_shape[1:]
    return rng.uniform(-1, 1, shape).astype("float32")


def int8_of(name):
    model = ktt.wrap(NETS[name]())
    return ktt.quantize(model, images_of(model, 32))


def check_every_tensor(device, images):
    expected = device.expected(images)
    samples = stored_input(device.model, images)
    np.testing.assert_array_equal(samples, expected[0])
    for n, sample in enumerate(samples):
        found = device.tensors(sample)
        assert len(found) == len(expected)
        for i, (actual, wanted) in enumerate(zip(found, expected)):
            np.testing.assert_array_equal(
                actual.ravel(), wanted[n].ravel(), err_msg=f"tensor {i}"
            )
    return samples


def check_logits(device, images, samples):
    """Compares predictions of a whole pass: within rounding of the head."""
    engine, classes = device.engine, device.engine.classes
    labels = np.arange(len(samples)) % classes
    for sample, label in zip(samples, labels):
        assert engine.observe(sample, label) == OK
    embeddings = device.model.embed(images).numpy()
    for sample, embedding in zip(samples, embeddings):
        code, _, logits = engine.predict(sample)
        assert code == OK
        vectors = engine.class_vectors(len(embedding))
        norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(embedding)
        cosine = vectors @ embedding / norms
        np.testing.assert_allclose(logits, 10 * cosine, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_small_nets(engine_build, tmp_path, name):
    model = int8_of(name)
    device = Int8Device(engine_build, model, tmp_path)
    images = images_of(model, 6, seed=1) * 1.3  # Saturates, too.
    samples = check_every_tensor(device, images)
    check_logits(device, images, samples)


def build_wide(kernel, stride):
    """Two pairs of a convolution and a depthwise layer, large in between."""
    image = keras.Input((47, 45, 3), name="image")
    x = image
    for i in range(2):
        x = layers.Conv2D(
            20, 3, padding="same", activation="relu6", name=f"conv_{i}"
        )(x)
        x = layers.DepthwiseConv2D(
            *(kernel, stride if i else 1),
            padding="same",
            activation="relu",
            name=f"dw_{i}",
        )(x)
        x = layers.Conv2D(4, 1, name=f"project_{i}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return randomize(keras.Model(image, x, name="wide"), 0)


@pytest.mark.parametrize(
    ("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (7, 1), (1, 2)]
)
def test_large_tensors_are_streamed(engine_build, tmp_path, kernel, stride):
    model = ktt.wrap(build_wide(kernel, stride))
    model = ktt.quantize(model, images_of(model, 8))
    device = Int8Device(engine_build, model, tmp_path)
    images = images_of(model, 3, seed=1)
    expanded = 47 * 45 * 20
    none = [0] * device.engine.layers
    sizes = device.engine.training_bytes(none)
    # The depthwise output and what it is made of, never the expansion too.
    assert sizes[1] < 1.5 * expanded
    assert device.engine.init(*sizes) == OK
    assert device.engine.plan([[]] * len(none)) == OK
    samples = stored_input(model, images)
    check_logits(device, images, samples)
    device.engine.marks()  # Nothing was written next to a region.


@pytest.mark.skipif(
    "KERAS_TINYTRAIN_WEIGHTS" not in os.environ
    or "KERAS_TINYTRAIN_DATA" not in os.environ,
    reason="needs the published weights and real images",
)
@pytest.mark.parametrize("name", ["mcunet", "mobilenet_v2", "proxyless_nas"])
def test_published_nets_on_real_images(engine_build, tmp_path, name):
    model = ktt.wrap(quantization.imagenet(name))
    device = Int8Device(engine_build, model, tmp_path)
    flowers = ktt.datasets.load("flowers")
    task = ktt.sample_episode(flowers, seed=0, way=5, shot=1)
    images = task.support.images.astype("float32")
    samples = check_every_tensor(device, images)
    check_logits(device, images, samples)
    keras.backend.clear_session()
