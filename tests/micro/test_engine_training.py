"""The engine learns what Keras learns: gradients, losses, predictions."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from devices import (
    boundary,
    class_vectors,
    device_order,
    make_device,
    random_channels,
)
from engine_library import ADAM, MOMENTUM, OK, SGD
from keras_steps import keras_losses
from random_nets import random_net

import keras_tinytrain as ktt
from keras_tinytrain import training, zoo
from keras_tinytrain.heads import cosine_logits, cross_entropy
from keras_tinytrain.quantization.scales import LARGEST_WEIGHT
from keras_tinytrain.selection import select
from keras_tinytrain.training import VECTOR_LENGTH

WAY = 3


def images_of(model, count, seed=0):
    rng = np.random.default_rng(seed)
    shape = count, *model.network.input_shape[1:]
    return rng.normal(size=shape).astype("float32")


def keras_gradients(model, images, labels, vectors):
    """Returns the loss and the gradients of slices and class vectors."""
    window = model.training_window()
    features = window.prefix(images)
    with tf.GradientTape() as tape:
        packed = window.pack()
        tape.watch([packed, vectors])
        slices = window.unpack(packed, window.channels())
        embeddings = window.tail(features, slices)
        logits = cosine_logits(embeddings, vectors)
        loss = tf.reduce_sum(cross_entropy(labels, logits))
    by_slice, by_vector = tape.gradient(loss, [packed, vectors])
    return float(loss), by_slice.numpy(), by_vector.numpy(), logits.numpy()


def check_gradients(device, images, labels, way):
    """Compares the summed gradient of a mini-batch, and predictions."""
    model, engine = device.model, device.engine
    labels = np.asarray(labels, np.int32)
    vectors = class_vectors(model, images, labels, way)
    loss, by_slice, by_vector, logits = keras_gradients(
        model, images, labels, vectors
    )
    samples = boundary(device, images)
    device.start(rate=1e-3)
    device.observe(samples, labels)
    for sample, expected in zip(samples, logits):
        code, label, actual = engine.predict(sample)
        assert code == OK
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
        assert actual[label] == actual.max()
    steps = [engine.accumulate(s, k) for s, k in zip(samples, labels)]
    assert sum(found for _, found in steps) == pytest.approx(loss, rel=1e-4)
    expected = device_order(model, by_slice)
    if model.head == "linear":
        expected = np.r_[by_vector.ravel(), expected]
    actual = engine.trained(gradient=True)
    assert actual.shape == expected.shape
    # Of an integer at the end of its range the step drops what leads out.
    values = engine.trained()
    out = (np.abs(values) >= limits(device)) & (values * actual < 0)
    actual = np.where(out, 0, actual)
    largest = np.abs(expected).max()
    assert largest > 0
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=2e-5 * largest)


def limits(device):
    """Returns the largest magnitude of each number that trains."""
    found = [sizes_of(*part) for part in zip(*rows(device))]
    size = device.engine.trained().size - sum(map(sum, found))
    parts = [np.full(size, np.inf)]  # Class vectors.
    for layer, (weights, biases) in zip(device.blob.layers, found):
        largest = np.inf, np.inf
        if layer["type"]:
            inner = device.model.network.layers[layer["name"]].layer
            largest = LARGEST_WEIGHT, inner.bias_limit
        parts += [np.full(weights, largest[0]), np.full(biases, largest[1])]
    return np.concatenate(parts)


def rows(device):
    kinds = device.kinds
    kinds = [0] * len(device.counts) if kinds is None else kinds
    return device.blob.layers, device.counts, kinds


def sizes_of(layer, count, kind):
    """Returns how many weights and biases train."""
    by_input, every_bias = kind & 1, kind & 2
    size = layer["inputs" if by_input else "channels"]
    biases = layer["biases"] if every_bias else 0 if by_input else count
    return count * layer["weights"] // size, biases * (layer["biases"] > 0)


@pytest.mark.parametrize("seed", range(14))
def test_gradients_of_random_nets(engine_build, randomized, tmp_path, seed):
    rng = np.random.default_rng(100 + seed)
    net = randomized(random_net(rng), seed)
    model = ktt.wrap(net, head=["linear", "prototype"][seed % 2])
    channels = random_channels(rng, ktt.layer_costs(model))
    device = make_device(
        engine_build, model, channels, tmp_path, from_pixels=seed % 3 == 0
    )
    check_gradients(device, images_of(model, 4, seed), [0, 1, 2, 1], WAY)


def device_losses(device, samples, labels, steps):
    losses = []
    for _ in range(steps):
        found = [
            device.engine.accumulate(s, k) for s, k in zip(samples, labels)
        ]
        assert all(code == OK for code, _ in found)
        losses.append(np.mean([loss for _, loss in found]))
        assert device.engine.update() == OK
    return losses


def check_ten_steps(device, images, labels, queries, **rates):
    """Compares ten losses, and what the trained network then predicts."""
    samples = boundary(device, np.concatenate([images, queries]))
    device.start(**rates)
    device.observe(samples[: len(images)], labels)
    actual = device_losses(device, samples[: len(images)], labels, 10)
    expected = keras_losses(device.model, images, labels, 10)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)
    assert abs(expected[-1] - expected[0]) > 1e-3
    device.settle(samples[: len(images)], labels)
    logits = device.model.predict(queries, verbose=0)
    for sample, expected in zip(samples[len(images) :], logits):
        code, label, actual = device.engine.predict(sample)
        assert code == OK
        np.testing.assert_allclose(actual, expected, atol=2e-3)
        assert label == expected.argmax()


OPTIMIZERS = {
    "rule": (ADAM, None, {}),
    "adam": (ADAM, lambda: keras.optimizers.Adam(0.004), {"rate": 0.004}),
    "sgd": (SGD, lambda: keras.optimizers.SGD(0.03), {"rate": 0.03}),
    "momentum": (
        MOMENTUM,
        lambda: keras.optimizers.SGD(0.01, momentum=0.9),
        {"rate": 0.01, "momentum": 0.9},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_losses_of_ten_steps(engine_build, make_net, make_task, tmp_path, name):
    optimizer, make, rates = OPTIMIZERS[name]
    model = ktt.wrap(make_net(norm=True))
    channels = {
        "expand": np.array([0, 3, 4, 7]),
        "dw": np.array([2, 3]),
        "project": np.array([1, 3]),
        "last": np.arange(6),
    }
    device = make_device(
        engine_build, model, channels, tmp_path, optimizer=optimizer
    )
    model.compile(optimizer=make and make())
    task, queries = make_task(way=WAY), make_task(way=WAY, seed=1)
    check_ten_steps(device, task.images, task.labels, queries.images, **rates)


@pytest.fixture(scope="module")
def mcunet():
    """With its ImageNet weights if they are there."""
    folder = os.environ.get("KERAS_TINYTRAIN_WEIGHTS")
    return zoo.build("mcunet", weights="imagenet" if folder else None)


def paper_plan(model):
    """The `earliest` plan of the paper's budget."""
    rng = np.random.default_rng(0)
    costs = ktt.layer_costs(model, cost_model="paper")
    scores = {c.name: rng.exponential(size=c.channels) for c in costs}
    budget = ktt.Budget("0.89MB", macs=6_510_000)
    return {
        name: np.array(chosen)
        for name, chosen in select(scores, costs, budget).channels.items()
    }


def pictures(count, seed=0):
    """Smooth random pictures of 128 x 128 pixels."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 255, (count, 8, 8, 3))
    return np.asarray(tf.image.resize(small, (128, 128)), np.float32)


def test_gradients_of_the_tail_of_mcunet(engine_build, mcunet, tmp_path):
    model = ktt.wrap(mcunet)
    channels = paper_plan(model)
    device = make_device(engine_build, model, channels, tmp_path)
    check_gradients(device, pictures(WAY), range(WAY), WAY)


def test_losses_of_the_tail_of_mcunet(engine_build, mcunet, tmp_path):
    model = ktt.wrap(mcunet)
    channels = paper_plan(model)
    device = make_device(engine_build, model, channels, tmp_path)
    # Slow enough for the steps to be no chaos, where bits become digits.
    rate = 5e-4
    model.compile(optimizer=keras.optimizers.Adam(rate))
    labels = np.arange(6) % WAY
    queries = pictures(4, seed=1)
    check_ten_steps(device, pictures(6), labels, queries, rate=rate)
    # By the rule, if none is given.
    samples = boundary(device, pictures(6))
    device.start()
    device.observe(samples, labels)
    assert device.engine.call("engine_rate") == pytest.approx(1e-3)
    (loss,) = device_losses(device, samples, labels, 1)
    share = model.plan.trained_weights / device.blob.training["weights"]
    expected = training.learning_rate(loss, WAY, share)
    assert 1e-3 < expected <= training.MAX_LEARNING_RATE
    found = device.engine.call("engine_rate")
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("pixels", [False, True])
def test_what_a_step_computes(engine_build, mcunet, tmp_path, pixels):
    """Below the first trained layer no gradient, elsewhere that of the plan."""
    model = ktt.wrap(mcunet)
    channels = paper_plan(model)
    device = make_device(
        engine_build, model, channels, tmp_path, from_pixels=pixels
    )
    engine, sample = device.engine, np.zeros(device.shape)
    device.start()
    device.observe([sample + 1, sample], [0, 1])
    costs = {c.name: c for c in ktt.layer_costs(model)}
    engine.macs()
    assert engine.accumulate(sample, 0)[0] == OK
    forward, inputs, filters = engine.macs()
    assert forward == sum(costs[name].macs for name in device.names)
    behind = list(costs)[list(costs).index(min(channels)) + 1 :]
    assert inputs == sum(costs[name].macs for name in behind)
    assert filters == sum(
        costs[name].macs // costs[name].channels * len(chosen)
        for name, chosen in channels.items()
    )
    assert inputs + filters == model.plan.macs


def test_an_empty_plan_trains_the_head_alone(engine_build, net, tmp_path):
    model = ktt.wrap(net)
    device = make_device(engine_build, model, {}, tmp_path)
    images, labels = images_of(model, 3), [0, 1, 2]
    device.start(rate=0.01)
    device.observe(images, labels)
    device.engine.macs()
    before = device_losses(device, images, labels, 1)
    assert device.engine.macs()[1:] == [0, 0]
    assert device_losses(device, images, labels, 5)[-1] < before[0]


def test_a_new_plan_starts_from_the_blob(engine_build, net, tmp_path):
    model = ktt.wrap(net)
    channels = {"project": np.array([0, 2]), "last": np.array([1])}
    device = make_device(engine_build, model, channels, tmp_path)
    images, labels = images_of(model, 3), [0, 1, 2]
    samples = boundary(device, images)
    device.start(rate=0.05)
    device.observe(samples, labels)
    first = device_losses(device, samples, labels, 3)
    assert device.engine.plan(device.channels) == OK
    device.observe(samples, labels)
    assert device_losses(device, samples, labels, 3) == first


def test_a_prototype_head_settles_on_the_means(engine_build, net, tmp_path):
    """Those of the trained network, as Keras does."""
    model = ktt.wrap(net, head="prototype")
    channels = {"project": np.array([0, 2]), "last": np.array([1, 4])}
    device = make_device(engine_build, model, channels, tmp_path, optimizer=SGD)
    images, labels = images_of(model, 6), [0, 1, 2, 2, 1, 0]
    samples = boundary(device, images)
    device.start(rate=0.5)
    device.observe(samples, labels)
    assert device.engine.predict(samples[0])[0] == OK
    before = device.engine.class_vectors(6)
    device_losses(device, samples, labels, 3)
    np.testing.assert_array_equal(device.engine.class_vectors(6), before)
    device.settle(samples, labels)
    settled = device.engine.class_vectors(6)
    assert np.abs(settled - before).max() > 1e-4
    # A second visit of the same network finds the same means.
    lengths = np.linalg.norm(settled, axis=-1)
    np.testing.assert_allclose(lengths, VECTOR_LENGTH, rtol=1e-5)
    for layer, rows in zip(("project", "last"), trained_rows(device)):
        masked = model.network.layers[layer]
        masked.kernel_slice.assign(rows[0])
        masked.bias_slice.assign(rows[1])
    expected = class_vectors(model, images, labels, WAY)
    np.testing.assert_allclose(settled, expected, rtol=1e-4, atol=1e-6)


def trained_rows(device):
    """Returns kernel and bias of each slice as Keras has them."""
    numbers, start, found = device.engine.trained(), 0, []
    for layer, count in zip(device.blob.layers, device.counts):
        if not count:
            continue
        masked = device.model.network.layers[layer["name"]]
        shape = masked.slice_shape(count, False)
        size = int(np.prod(shape))
        rows = numbers[start : start + size].reshape(count, *shape[:-1])
        start += size
        found.append((np.moveaxis(rows, 0, -1), numbers[start : start + count]))
        start += count
    return found
