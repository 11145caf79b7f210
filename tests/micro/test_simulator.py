"""The operator in the real TensorFlow Lite Micro: law 9 on small nets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_steps import keras_losses
from quantized_nets import build_mixed
from small_nets import build_net, build_task

import keras_tinytrain as ktt
from keras_tinytrain import published
from keras_tinytrain.micro import interpreter
from keras_tinytrain.quantization.tflite import Writer

HERE = Path(__file__).parent
pytestmark = pytest.mark.usefixtures("compiled")
WAY, RATE, STEPS = 3, 5e-4, 4


def simulate(folder, wheel, build_folder):
    """Runs run_simulator.py; returns what it wrote."""
    kind, environment = wheel
    result = subprocess.run(
        [sys.executable, HERE / "run_simulator.py", folder],
        env=environment | {"XDG_CACHE_HOME": str(build_folder)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    said = json.loads((folder / "simulated.json").read_text())
    assert said["abi"] == kind
    return np.load(folder / "simulated.npz"), said


def test_a_life_as_in_keras_and_engine(tmp_path, wheel, build_folder):
    model = ktt.wrap(build_net(norm=True))
    queries = build_task(way=WAY, seed=1).images
    budget = ktt.Budget(8000, macs=16000)
    check_life(
        model,
        build_task(way=WAY),
        queries,
        budget,
        tmp_path,
        wheel,
        build_folder,
    )


@pytest.mark.skipif(
    not os.environ.get("KERAS_TINYTRAIN_WEIGHTS")
    or not Path(
        os.environ.get("KERAS_TINYTRAIN_DATA", "none"), "gtsrb"
    ).is_dir(),
    reason="needs weights and images",
)
@pytest.mark.parametrize("name", ["mcunet", "mobilenet_v2", "proxyless_nas"])
def test_nets_of_the_zoo_on_real_images(tmp_path, wheel, build_folder, name):
    dataset = ktt.datasets.load("gtsrb", image_size=(128, 128))
    task = ktt.sample_episode(dataset, seed=0, way=WAY, shot=2)
    net = ktt.zoo.build(name, weights="imagenet", input_shape=(128, 128, 3))
    macs = published.costs(name, "tinytrain")[1]
    check_life(
        ktt.wrap(net),
        task.support,
        task.query.images[:6],
        ktt.Budget("256KB", macs=macs),
        tmp_path,
        wheel,
        build_folder,
    )


def check_life(model, task, queries, budget, tmp_path, wheel, build_folder):
    """The same features, plan, losses and predictions; and refusals."""
    result = ktt.export_micro(
        model,
        tmp_path,
        budget=budget,
        max_way=WAY,
        representative_data=task,
    )
    np.savez(
        tmp_path / "task.npz",
        images=task.images,
        labels=task.labels,
        queries=queries,
        steps=STEPS,
        rate=RATE,
    )
    found, said = simulate(tmp_path, wheel, build_folder)

    # The control input alone does the same, to the bit.
    np.testing.assert_array_equal(found["losses_of_graph"], found["losses"])
    np.testing.assert_array_equal(found["logits_of_graph"], found["logits"])

    # Keras, with an int8 prefix.
    engine = ktt.micro.Engine(result.blob, learning_rate=RATE)
    first = engine.layers[0]
    hybrid = ktt.quantization.quantize_prefix(model, task, first)
    real, stored = boundary(hybrid, task.images)
    np.testing.assert_array_equal(found["features"], stored)
    scores = ktt.channel_fisher(hybrid, task)
    costs = ktt.layer_costs(model, way=WAY, first=first)
    plan = ktt.select(scores, costs, budget)
    expected = {name: list(c) for name, c in plan.channels.items()}
    assert said["channels"] == expected
    assert sum(map(len, expected.values())) > 1
    ktt.apply_plan(hybrid, plan)
    hybrid.compile(optimizer=keras.optimizers.Adam(RATE))
    losses = keras_losses(hybrid, task.images, task.labels, STEPS)
    np.testing.assert_allclose(found["losses"], losses, atol=1e-4)
    assert losses[0] - losses[-1] > 1e-2
    logits = hybrid.predict(queries)
    np.testing.assert_allclose(found["logits"], logits, atol=2e-3)
    np.testing.assert_array_equal(found["logits"].argmax(-1), logits.argmax(-1))

    # The engine, from the same features: to the bit.
    samples = real.reshape(-1, *engine.sample_shape)
    for call in (engine.observe, engine.score):
        for sample, label in zip(samples, task.labels):
            call(sample, label)
    chosen = engine.select()
    assert {n: list(c) for n, c in chosen.items()} == expected
    engine.plan(chosen)
    trained = engine.train(samples, task.labels, steps=STEPS)
    np.testing.assert_array_equal(found["losses"], trained)

    check_memory(said, result, samples[0].size)
    check_refusals(said["refusals"])


def boundary(hybrid, images):
    """Returns the tensor between the two parts: real values, and int8."""
    ops = hybrid.network.ops
    kinds = [type(op.operation).__name__ for op in ops]
    place = kinds.index("Dequantize")
    tensors = {0: keras.ops.convert_to_tensor(images)}
    tensors = hybrid.network.run(tensors, 0, place)
    less = np.asarray(tensors[ops[place].inputs[0]], np.float32)
    to = ops[place].operation.quantization
    stored = (less + to.zero_point).reshape(len(images), -1)
    return np.float32(to.scale) * less, stored


def check_memory(said, result, feature_count):
    persistent, scratch = said["ours"]
    assert persistent >= result.persistent_bytes
    assert scratch >= result.work_bytes + 4 * feature_count
    arena = said["arena"]
    assert arena["total"] == arena["head"] + arena["tail"]
    assert arena["tail"] >= persistent
    assert arena["head"] >= scratch


def check_refusals(found):
    for name in ("predict", "score", "accumulate", "update"):
        assert found[name][0] == "wrong_state", name
    assert found["unknown phase"] == found["negative label"] == -3
    assert found["too many classes"] == -3
    assert found["no plan"] == -9
    assert found["idle"] == 0
    for name in ("arena tail", "arena head"):
        reason, requested, available, missing = found[name]
        assert reason == "region_too_small", name
        assert missing == requested - available > 0, name
    assert found["damaged options"][0] == "corrupt"
    assert found["damaged blob"][0] == "corrupt"
    assert found["another version"] == ["wrong_version", 1, 3, 0]


def test_a_plan_of_the_host_goes_with_the_model(tmp_path, make_plan):
    """Scores need no memory then."""
    task = build_task(way=WAY)
    model = ktt.wrap(build_net())
    ktt.apply_plan(model, make_plan(model, {"last": [0, 2]}))
    data = {"max_way": WAY, "representative_data": task}
    result = ktt.export_micro(model, tmp_path, **data)
    file = ktt.micro.simulator.read_tail_file(result.tflite.read_bytes())
    assert file.blob == result.blob.read_bytes()
    assert file.options["flags"] == 0
    assert file.options["persistent_bytes"] == result.persistent_bytes
    assert file.options["work_bytes"] == result.work_bytes


def test_what_has_no_operator(tmp_path):
    task = build_task(way=WAY)
    model = ktt.wrap(build_net())
    for budget in (None, ktt.Budget("1MB")):
        with pytest.raises(ValueError, match=r"frozen.*from 'stem' on"):
            ktt.export_micro(
                model, tmp_path, budget=budget, representative_data=task
            )
    with pytest.raises(ValueError, match=r"representative data.*none"):
        ktt.export_micro(
            model,
            tmp_path,
            budget=ktt.Budget(8000, macs=16000),
            representative_data=task.images[:0],
        )
    assert not list(tmp_path.iterdir())


def test_prefixes_of_which_layers_are_there():
    model = ktt.wrap(build_net())
    images = build_task(way=WAY).images
    with pytest.raises(ValueError, match=r"\['stem'.*Received: 'head'"):
        ktt.quantization.quantize_prefix(model, images, "head")
    with pytest.raises(ValueError, match=r"stay frozen.*'stem', with none"):
        ktt.quantization.quantize_prefix(model, images, "stem")


@pytest.mark.parametrize("first", ["dw2", "dense"])
def test_a_float_tail_is_that_of_the_model(first):
    """From the same int8 features, the folded layers compute the same."""
    net = build_mixed()
    images = np.random.default_rng(0).normal(size=(9, *net.input_shape[1:]))
    model = ktt.wrap(net)
    hybrid = ktt.quantization.quantize_prefix(model, images, first)
    real, _ = boundary(hybrid, images.astype(np.float32))
    plain = model.network
    start = plain.position[first]
    before = plain.ops[start].inputs[0]
    tensors = {before: keras.ops.convert_to_tensor(real)}
    shapes = {op.output: op.shape for op in plain.ops}
    tensors[before] = keras.ops.reshape(real, (-1, *shapes[before][1:]))
    expected = plain.run(tensors, start)[plain.output]
    np.testing.assert_allclose(hybrid.predict(images), expected, atol=1e-5)


def test_symmetric_padding_becomes_part_of_the_convolution():
    """Kernels of 3, 5 and 7 at stride 2 grow; no bit changes."""
    import tensorflow as tf

    image = x = keras.Input((16, 16, 2))
    for i, size in enumerate((3, 5, 7)):
        half = size // 2
        x = keras.layers.ZeroPadding2D(half, name=f"pad{i}")(x)
        kind = keras.layers.DepthwiseConv2D if i else keras.layers.Conv2D
        units = () if i else (4,)
        x = kind(*units, size, strides=2, name=f"conv{i}")(x)
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 2))
    model = ktt.quantize(ktt.wrap(keras.Model(image, x)), images)
    found = []
    for keep in (False, True):
        writer = Writer(keep_padding=keep)
        for op in model.network.ops:
            writer.add(op)
        data = writer.finish([writer.start], [writer.place[writer.end]])
        assert ("PAD" in str(codes(data))) == keep
        with pytest.warns(UserWarning, match="deprecated"):
            reader = tf.lite.Interpreter(
                model_content=data,
                experimental_op_resolver_type=(
                    tf.lite.experimental.OpResolverType.BUILTIN_REF
                ),
            )
        reader.allocate_tensors()
        (start,), (end,) = (
            reader.get_input_details(),
            (reader.get_output_details()),
        )
        stored = np.random.default_rng(1).integers(-128, 128, start["shape"])
        reader.set_tensor(start["index"], stored.astype(np.int8))
        reader.invoke()
        found.append(reader.get_tensor(end["index"]))
    np.testing.assert_array_equal(*found)
    assert np.ptp(found[0].astype(int)) > 20


def codes(data):
    """Lists the names of the operators of a model."""
    from tensorflow.lite.python import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    return [names[code.builtinCode] for code in model.operatorCodes]


def test_a_wheel_of_an_unknown_kind(compiler, tmp_path):
    import subprocess

    (tmp_path / "empty.cpp").write_text("int nothing;\n")
    command = compiler, "-shared", "-fPIC", "-o", tmp_path / "empty.so"
    subprocess.run([*command, tmp_path / "empty.cpp"], check=True)
    with pytest.raises(OSError, match=r"known layout.*Received: another one"):
        interpreter.abi_of(str(tmp_path / "empty.so"))


def test_no_wheel_at_all(monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    with pytest.raises(OSError, match=r"Expected the package tflite-micro"):
        interpreter.load_runtime()
