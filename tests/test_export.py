"""The files for the device say what the Keras model computes."""

import json
import os
import re
import struct
import subprocess
import zlib

import keras
import numpy as np
import pytest
from blob_interpreter import run
from blob_versions import longer
from keras import layers
from test_scripts import run as run_script
from test_scripts import run_json

import keras_tinytrain as ktt
from keras_tinytrain import published
from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob

NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")


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


@pytest.mark.parametrize("head", ["linear", "prototype"])
@pytest.mark.parametrize("name", small_nets())
def test_a_small_net_is_the_same_in_numpy(name, head, randomized, tmp_path):
    net = randomized(small_nets()[name], seed=3)
    model = ktt.wrap(net, head=head)
    result, blob = export(model, tmp_path)
    assert blob.network == {
        "input_kind": 0,
        "name": name,
        "cut": "",
        "layers": len(model.network.layers),
    }
    images = images_of(model)
    check_same(model, blob, images, images)
    features = keras.ops.convert_to_tensor(features_by_keras(model, images))
    embeddings = model.window().pool(features)
    assert blob.head["depth"] == embeddings.shape[1]
    assert result.flash_bytes == result.blob.stat().st_size


def test_every_operation_and_activation_was_met(tmp_path, randomized):
    """The nets above are no test of what they do not hold."""
    kinds, activations = set(), set()
    for net in small_nets().values():
        _, blob = export(ktt.wrap(randomized(net)), tmp_path)
        kinds |= {op["kind"] for op in blob.operations}
        activations |= {op["activation"] for op in blob.operations}
    assert kinds == set(layout.KINDS.values())
    assert activations == set(layout.ACTIVATIONS.values())


def test_padding_and_activations_become_part_of_the_layer(tmp_path, randomized):
    model = ktt.wrap(randomized(small_nets()["padded"]))
    _, blob = export(model, tmp_path)
    kinds = [op["kind"] for op in blob.operations]
    assert kinds == [9, 1, 2]
    _, stem, depthwise = blob.operations
    sides = ("top", "bottom", "left", "right")
    assert [stem[side] for side in sides] == [1, 0, 2, 1]
    assert [depthwise[side] for side in sides] == [2, 2, 1, 1]
    assert (stem["activation"], depthwise["activation"]) == (2, 1)


def test_a_sum_that_reads_the_linear_output_keeps_it(tmp_path, randomized):
    _, blob = export(ktt.wrap(randomized(small_nets()["shared"])), tmp_path)
    assert [op["kind"] for op in blob.operations] == [6, 1, 8, 4]
    assert [op["activation"] for op in blob.operations] == [0, 0, 1, 0]


@pytest.mark.parametrize("from_pixels", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_a_net_of_the_zoo_is_the_same_in_numpy(name, from_pixels, tmp_path):
    weights = "imagenet" if os.environ.get("KERAS_TINYTRAIN_WEIGHTS") else None
    model = ktt.wrap(ktt.zoo.build(name, weights=weights))
    memory, macs = published.costs(name, "tinytrain")
    budget = ktt.Budget(memory=int(memory), macs=round(macs))
    result, blob = export(
        model, tmp_path, budget=budget, from_pixels=from_pixels
    )
    inputs = images = images_of(model, count=1)
    assert (blob.network["cut"] == "") == from_pixels
    if not from_pixels:
        inputs = boundary(model, blob, images)
    check_same(model, blob, inputs, images)
    costs = ktt.layer_costs(model)
    first = ktt.selection.first_affordable(costs, budget)
    flags = {c["name"]: c["flags"] for c in blob.layers}
    assert [n for n in flags if flags[n]] == [
        c.name for c in costs[first:] if not c.per_channel_input
    ]
    exported = [c for c in costs if c.name in flags]
    assert result.macs_predict == 10 * blob.head["depth"] + sum(
        c.macs for c in exported
    )


@pytest.fixture(scope="module")
def planned():
    """A wrapped net with a plan of all kinds, and its exports."""
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


def test_the_tail_is_cut_where_one_tensor_passes(planned, tmp_path):
    """Between `expand` and `add` there are two, so it begins before both."""
    _, blob = export(planned, tmp_path)
    assert blob.network["cut"] == "stem"
    assert [c["name"] for c in blob.layers] == [
        "expand",
        "depthwise",
        "project",
        "last",
    ]
    assert [c["index"] for c in blob.layers] == [1, 2, 3, 4]
    costs = ktt.layer_costs(planned)
    ktt.apply_plan(planned, plan := plan_of(planned))
    alone = ktt.selection.make_plan({"project": np.array([0])}, costs, "test")
    ktt.apply_plan(planned, alone)
    _, other = export(planned, tmp_path)
    ktt.apply_plan(planned, plan)
    assert other.network["cut"] == "stem"
    flags = [c["flags"] for c in other.layers]
    assert flags == [0, 0, 1, 1]


def test_the_plan_goes_with_it(planned, tmp_path):
    result, blob = export(planned, tmp_path)
    assert ktt.UpdatePlan.from_json(result.plan.read_text()) == planned.plan
    rows = [
        (record["layer"], record["flags"], list(indices))
        for record, indices in blob.plan
    ]
    assert rows == [
        (0, 0, [0, 3, 15]),
        (1, 0, [2, 9]),
        (2, 3, [1, 4]),
        (3, 2, []),
    ]
    # Planned depthwise layers are candidates, whatever the criterion.
    assert all(c["flags"] for c in blob.layers)


def test_costs_and_budget_go_with_it(planned, tmp_path):
    budget = ktt.Budget(memory="64KB", macs=0.3)
    costs = ktt.layer_costs(planned)
    _, blob = export(planned, tmp_path, budget=budget, criterion="tinytrain")
    assert blob.training == {
        "cost_model": 0,
        "criterion": 1,
        "memory_bytes": 65536,
        "macs": int(0.3 * costs.full_macs),
        "full_macs": costs.full_macs,
        "peak_bytes": costs.peak_bytes,
        "most_weights": max(c.weights for c in costs),
        "most_macs": max(c.macs for c in costs),
        "weights": sum(c.weights for c in costs),
    }
    for layer in blob.layers:
        cost = costs[layer["index"]]
        for field in ("name", "channels", "inputs", "weights", "biases"):
            assert layer[field] == getattr(cost, field)
        for field in ("macs", "input_bytes", "output_bytes"):
            assert layer[field] == getattr(cost, field)
    _, free = export(planned, tmp_path, cost_model="paper")
    assert free.training["memory_bytes"] == free.training["macs"] == 2**64 - 1
    assert free.training["cost_model"] == 1


def test_the_same_model_gives_the_same_bytes(planned, tmp_path):
    results = [
        ktt.export_micro(model, tmp_path / name)
        for name, model in (("a", planned), ("b", rebuilt(planned)))
    ]
    for field in ("blob", "header", "report", "plan"):
        first, second = (getattr(r, field).read_bytes() for r in results)
        assert first == second


def rebuilt(model):
    """Wraps the unwrapped model again, without what has been learned."""
    plain = ktt.wrap(keras.models.clone_model(model.source))
    plain.source.set_weights(model.source.get_weights())
    ktt.apply_plan(plain, plan_of(plain))
    return plain


def test_another_weight_or_operation_is_another_base(planned, tmp_path):
    def base(model, **options):
        return export(model, tmp_path, **options)[1].base

    assert base(planned) == base(planned, from_pixels=True, max_way=3)
    other = rebuilt(planned)
    assert base(other) == base(planned)
    variable = other.source.get_layer("norm").moving_mean
    values = variable.numpy()
    values[5] += 1e-6
    variable.assign(values)
    assert base(other) != base(planned)
    other = rebuilt(planned)
    other.source.get_layer("norm").epsilon = 1e-5
    assert base(other) != base(planned)


def test_another_activation_is_another_base(tmp_path):
    def base(activation):
        keras.utils.set_random_seed(0)
        image = keras.Input((8, 8, 3))
        conv = layers.Conv2D(4, 3, activation=activation, name="conv")
        return export(ktt.wrap(keras.Model(image, conv(image))), tmp_path)[
            1
        ].base

    assert base("relu") == base("relu") != base("relu6")


def test_the_header_holds_the_same_bytes(planned, tmp_path):
    result = ktt.export_micro(planned, tmp_path)
    text = result.header.read_text()
    data = result.blob.read_bytes()
    body = re.search(r"tinytrain_net_1\[(\d+)\] = \{(.*?)\}", text, re.DOTALL)
    assert int(body[1]) == len(data)
    assert bytes(int(n) for n in body[2].split(",")) == data
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_compiles(language, planned, tmp_path, compiler):
    result = ktt.export_micro(planned, tmp_path)
    program = f"""
#include "{result.header.name}"
#include "{result.header.name}"
#include <stdint.h>
#include <stdio.h>
int main(void) {{
  printf("%d %d", (int)((uintptr_t)tinytrain_net_1 % 16),
         (int)sizeof(tinytrain_net_1));
  return 0;
}}
"""
    standard = {"c": "c11", "c++": "c++11"}[language]
    flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-std={standard}"]
    subprocess.run(
        [compiler, *flags, f"-I{tmp_path}", "-x", language, "-", "-o", "main"],
        input=program,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    output = subprocess.check_output([tmp_path / "main"], text=True)
    assert output == f"0 {result.flash_bytes}"


def test_the_report_adds_up(planned, tmp_path):
    result = ktt.export_micro(planned, tmp_path, max_way=4)
    costs = {c.name: c for c in ktt.layer_costs(planned)}
    rows = {}
    for line in result.report.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[4].replace(",", "").isdigit():
            rows[cells[0]] = [
                cells[3],
                *(int(c.replace(",", "")) for c in cells[4:]),
            ]
    names = ["expand", "depthwise", "project", "last", "head"]
    assert list(rows) == names
    # 8 x 8 positions. Kernels of 8 x 16, 9 x 16, 16 x 8, 8 x 12 weights; the
    # first trained layer passes no gradient on.
    assert rows["expand"] == ["3/16", 4 * (128 + 16), 8192, 8192 + 64 * 3 * 8]
    assert rows["depthwise"] == ["2/16", 4 * 160, 9216, 2 * 9216 + 64 * 2 * 9]
    assert rows["project"] == [
        "2/16 in, bias",
        4 * (128 + 8),
        8192,
        2 * 8192 + 64 * 2 * 8,
    ]
    assert rows["last"] == ["bias", 4 * (96 + 12), 6144, 2 * 6144]
    assert rows["head"] == ["class vectors", 0, 4 * 60, 3 * 4 * 60]
    assert result.macs_predict == sum(row[2] for row in rows.values())
    assert result.macs_step == sum(row[3] for row in rows.values())
    forward = sum(costs[name].macs for name in names[:-1])
    backward = result.macs_step - forward - 3 * 240
    assert backward == planned.plan.macs
    assert "the output of `stem`" in result.report.read_text()


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


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"X", "magic="),
        (4, b"\2", "major=1"),
        (8, b"\1\2\3\4", "byte_order="),
        (12, b"\xff", "Expected a whole"),
        (20, b"\0", "header_size=0"),
        (300, b"\xa5", "undamaged"),
    ],
)
def test_python_refuses_other_bytes(planned, tmp_path, at, value, message):
    data = bytearray(ktt.export_micro(planned, tmp_path).blob.read_bytes())
    data[at : at + len(value)] = value
    with pytest.raises(ValueError, match=message):
        read_blob(bytes(data))


def test_python_refuses_every_truncation(planned, tmp_path):
    data = ktt.export_micro(planned, tmp_path).blob.read_bytes()
    for size in range(len(data)):
        with pytest.raises(ValueError, match="Expected"):
            read_blob(data[:size])


def test_a_later_minor_version_is_read(planned, tmp_path):
    """Longer records and another section, as docs/format.md allows."""
    data = ktt.export_micro(planned, tmp_path).blob.read_bytes()
    before = read_blob(data)
    after = read_blob(longer(data))
    assert before.operations == after.operations
    places = {"kernel": 0, "bias": 0}
    for old, new in zip(before.layers, after.layers, strict=True):
        assert old | places == new | places
    for old, new in zip(before.weights, after.weights, strict=True):
        np.testing.assert_array_equal(old[0], new[0])
        np.testing.assert_array_equal(old[1], new[1])


def test_the_seal_is_that_of_the_format(planned, tmp_path):
    data = ktt.export_micro(planned, tmp_path).blob.read_bytes()
    magic, major, minor, order, size, crc = struct.unpack("<4sHHIII", data[:20])
    assert (magic, major, minor, order) == (b"TTNB", 1, 0, 0x01020304)
    assert (size, crc) == (len(data), zlib.crc32(data[:16] + data[20:]))


def test_the_example_ends_in_one_json_line(tmp_path):
    flags = ("--net=mcunet", "--weights=none", "--budget=0.89MB")
    result, lines = run_json(
        "export_micro.py", *flags, f"--out={tmp_path / 'new'}"
    )
    assert set(result) == {"flash_bytes", "macs_step", "macs_predict"}
    blob = tmp_path / "new" / "mcunet.ttnb"
    assert result["flash_bytes"] == blob.stat().st_size
    assert 0 < result["macs_predict"] < result["macs_step"]
    assert json.loads(lines[-1]) == result
    assert len(read_blob(blob.read_bytes()).layers) == 12


def test_the_example_says_what_is_wrong(tmp_path):
    process = run_script("export_micro.py", "--weights=none", "--budget=1KB")
    assert process.returncode == 1
    assert "The smallest in memory takes" in process.stderr
    assert "Traceback" not in process.stderr
