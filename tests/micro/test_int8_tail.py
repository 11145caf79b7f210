"""An int8 tail in TensorFlow Lite Micro: the file of a quantized model."""

import types

import keras
import numpy as np
import pytest
from devices import boundary
from engine_library import OK, Engine
from keras_steps import keras_losses
from small_nets import build_net, build_task
from test_simulator import RATE, STEPS, WAY, simulate

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.micro.tail_file import read_tail_file

pytestmark = pytest.mark.usefixtures("compiled")
MACS = ktt.Budget(macs=16000)


def quantized():
    task = build_task(way=WAY)
    return ktt.quantize(ktt.wrap(build_net(norm=True)), task), task


def run(model, task, folder, wheel, build_folder, budget):
    """Exports and simulates; returns the export too."""
    result = ktt.export_micro(model, folder, budget=budget, max_way=WAY)
    queries = build_task(way=WAY, seed=1).images
    np.savez(
        folder / "task.npz",
        images=task.images,
        labels=task.labels,
        queries=queries,
        steps=STEPS,
        rate=RATE,
    )
    return result, queries, *simulate(folder, wheel, build_folder)


def test_a_life_as_in_keras_and_engine(
    tmp_path, wheel, build_folder, engine_build
):
    model, task = quantized()
    result, queries, found, said = run(
        model, task, tmp_path, wheel, build_folder, MACS
    )
    np.testing.assert_array_equal(found["losses_of_graph"], found["losses"])
    np.testing.assert_array_equal(found["logits_of_graph"], found["logits"])
    data = result.blob.read_bytes()
    blob = read_blob(data)
    assert all(tensor["type"] for tensor in blob.tensors[:-1])

    # Features of the prefix: those of Keras, to the bit.
    exported = types.SimpleNamespace(model=model, blob=blob)
    samples = boundary(exported, task.images)
    assert samples.dtype == np.int8
    np.testing.assert_array_equal(
        found["features"], samples.reshape(len(samples), -1)
    )

    # Keras: plan, losses, predictions.
    first = blob.layers[0]["name"]
    costs = ktt.layer_costs(model, way=WAY, first=first)
    plan = ktt.select(ktt.channel_fisher(model, task), costs, MACS)
    expected = {name: list(c) for name, c in plan.channels.items()}
    assert said["channels"] == expected
    assert sum(map(len, expected.values())) > 1
    ktt.apply_plan(model, plan)
    model.compile(ktt.QASOptimizer(keras.optimizers.Adam(RATE)))
    losses = keras_losses(model, task.images, task.labels, STEPS)
    np.testing.assert_allclose(found["losses"], losses, atol=1e-4)
    assert losses[0] - losses[-1] > 1e-3
    logits = model.predict(queries)
    np.testing.assert_array_equal(found["logits"].argmax(-1), logits.argmax(-1))

    # The engine alone, to the bit.
    engine = Engine(engine_build, data, WAY)
    channels = [expected.get(layer["name"], []) for layer in blob.layers]
    sizes = engine.training_bytes([len(c) for c in channels])
    assert engine.init(*sizes, rate=RATE) == OK
    assert engine.plan(channels) == OK
    for sample, label in zip(samples, task.labels):
        assert engine.observe(sample, label) == OK
    trained = []
    for _ in range(STEPS):
        pairs = zip(samples, task.labels)
        trained.append(np.mean([engine.accumulate(*p)[1] for p in pairs]))
        assert engine.update() == OK
    np.testing.assert_array_equal(found["losses"], trained)
    assert said["ours"][0] >= sizes[0]
    assert said["ours"][1] >= sizes[1]
    assert said["refusals"]["damaged blob"][0] == "corrupt"
    assert said["refusals"]["another scale"][0] == "wrong_model"


def test_a_budget_of_bytes(tmp_path, wheel, build_folder):
    """The device counts those of int8, as Python does."""
    model, task = quantized()
    budget = ktt.Budget(9000, macs=16000)
    result, _, found, said = run(
        model, task, tmp_path, wheel, build_folder, budget
    )
    first = read_blob(result.blob.read_bytes()).layers[0]["name"]
    costs = ktt.layer_costs(model, way=WAY, first=first)
    plan = ktt.select(ktt.channel_fisher(model, task), costs, budget)
    assert said["channels"] == {n: list(c) for n, c in plan.channels.items()}
    assert found["losses"][-1] < found["losses"][0]
    assert said["ours"][0] <= budget.memory_bytes


def test_less_flash_than_float32(tmp_path):
    """And the operator is told how the features are stored."""
    model, task = quantized()
    plain = ktt.wrap(build_net(norm=True))
    data = {"representative_data": task}
    sizes = [
        len(
            ktt.export_micro(
                m, tmp_path / n, budget=MACS, **d
            ).tflite.read_bytes()
        )
        for n, m, d in (("int8", model, {}), ("float32", plain, data))
    ]
    assert sizes[0] < sizes[1]
    file = read_tail_file((tmp_path / "int8" / "model.tflite").read_bytes())
    first = read_blob(file.blob).tensors[0]
    assert file.options["scale"] == np.float32(first["scale"])
    assert file.options["zero_point"] == first["zero_point"]


def test_all_may_train_so_there_is_no_prefix(tmp_path):
    model, _ = quantized()
    assert ktt.export_micro(model, tmp_path).tflite is None
