import numpy as np
import pytest
import tensorflow as tf

import keras_tinytrain as ktt
from keras_tinytrain import heads
from keras_tinytrain.window import CHUNK

# The same sums, compiled in other pieces.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def planned(net, make_plan):
    """A model whose slices in three layers are no longer the wrapped ones."""
    model = ktt.wrap(net)
    plan = {"expand": [0, 2], "dw": [1], "last": [0, 5]}
    ktt.apply_plan(model, make_plan(model, plan))
    for variable in model.trainable_variables:
        variable.assign_add(tf.ones_like(variable) * 0.25)
    return model


@pytest.fixture
def mixed(net, make_plan):
    """The same of a model that trains inputs and biases as well."""
    model = ktt.wrap(net)
    plan = make_plan(
        model,
        {"dw": [1], "project": [0, 2]},
        inputs={"expand": [1], "last": [0, 3]},
        biases=["project", "last"],
    )
    ktt.apply_plan(model, plan)
    for variable in model.trainable_variables:
        variable.assign_add(tf.ones_like(variable) * 0.25)
    return model


@pytest.mark.parametrize("first", ["stem", "project", "last"])
def test_prefix_and_tail_make_the_network(net, first, make_task):
    images = make_task(count=CHUNK + 7).images
    window = ktt.wrap(net).window(first)
    features = window.prefix(images)
    assert [len(f) for f in features] == [len(images)] * len(features)
    embeddings = window.embed(features, window.pack(), window.channels())
    np.testing.assert_allclose(embeddings, heads.pyramid(net(images)), **CLOSE)


def test_the_boundary_inside_a_residual_has_two_tensors(net, task):
    window = ktt.wrap(net).window("project")
    shapes = [f.shape for f in window.prefix(task.images)]
    assert shapes == [(12, 8, 8, 4), (12, 8, 8, 8)]
    assert list(window.layers) == ["project", "last"]


@pytest.mark.parametrize("name", ["planned", "mixed"])
def test_slices_are_used(name, task, request):
    planned = request.getfixturevalue(name)
    window = planned.training_window()
    assert window.first == "expand"
    features = window.prefix(task.images)
    embeddings = window.embed(features, window.pack(), window.channels())
    expected = heads.pyramid(planned(task.images))
    np.testing.assert_allclose(embeddings, expected, **CLOSE)
    wrapped = window.embed(features, *window.untrained())
    assert np.abs(wrapped - embeddings).max() > 0.01


def test_pack_and_unpack(planned):
    window = planned.window("expand")
    packed = window.pack()
    # Kernels of 2 * 4, 9 and 2 * 36 weights, each channel with a bias.
    assert packed.shape == (8 + 2 + 9 + 1 + 72 + 2,)
    longer = tf.concat([packed, [7.0, 7.0]], axis=0)
    slices = window.unpack(longer, window.channels())
    assert list(slices) == ["expand", "dw", "project", "last"]
    for name, parts in slices.items():
        expected = planned.network.layers[name].slices()
        for part, value in zip(parts, expected):
            np.testing.assert_array_equal(part, value)


def test_pack_and_unpack_inputs_and_biases(mixed):
    window = mixed.training_window()
    packed = window.pack()
    # An input of 8 channels; a channel of 9 weights; two of 8 and all four
    # biases; two inputs of 9 * 6 weights and all six biases.
    assert packed.shape == (8 + 9 + 1 + 16 + 4 + 108 + 6,)
    slices = window.unpack(packed, window.channels())
    for name, parts in slices.items():
        expected = mixed.network.layers[name].slices()
        assert parts.by_input == expected.by_input == (name in window.by_input)
        for part, value in zip(parts[:-1], expected[:-1]):
            np.testing.assert_array_equal(part, value)
    window.assign(-packed)
    np.testing.assert_array_equal(window.pack(), -packed)


def test_another_window_does_not_take_the_inputs(mixed):
    with pytest.raises(ValueError, match=r"\['expand', 'last'\].*by_input=\[]"):
        mixed.window("expand").channels()


def test_assign_writes_what_pack_reads(planned):
    window = planned.window("expand")
    packed = window.pack()
    window.assign(-packed)
    np.testing.assert_array_equal(window.pack(), -packed)
    last = planned.network.layers["last"]
    np.testing.assert_array_equal(last.bias_slice, -packed[-2:])


def test_views_depend_on_the_seed_alone(net, make_task):
    images = make_task(count=CHUNK + 2).images
    window = ktt.wrap(net).window("last")
    first, again, other = (
        window.prefix_of_view(images, seed)[0]
        for seed in ((1, 0), (1, 0), (1, 1 << 16))
    )
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != other.numpy()).any()
    clean = window.prefix(images)[0]
    assert first.shape == clean.shape
    assert (first.numpy() != clean.numpy()).any()


def test_bytes_are_read_as_floats(net, task):
    images = np.uint8(np.clip(task.images * 40 + 128, 0, 255))
    window = ktt.wrap(net).window("last")
    for as_bytes, as_floats in zip(
        window.prefix(images), window.prefix(images.astype("float32"))
    ):
        np.testing.assert_array_equal(as_bytes, as_floats)


def test_gate_gradients_are_those_of_the_wrapped_weights(net, planned, task):
    found = []
    for model in (ktt.wrap(net), planned):
        window = model.window("dw")
        features = window.prefix(task.images)
        vectors = tf.random.stateless_uniform((3, 30), (1, 2))
        labels = tf.constant(task.labels, tf.int32)
        found.append(window.gate_gradients(features, labels, vectors))
    assert found[0].shape == (12, 8 + 4 + 6)
    np.testing.assert_allclose(*found, **CLOSE)


def test_windows_are_kept(net):
    model = ktt.wrap(net)
    assert model.window("dw") is model.window("dw")
    assert model.window() is model.window("stem")
    inputs = model.window("dw", ["last"])
    assert inputs is not model.window("dw")
    assert inputs is model.window("dw", {"last"})


def count_traces(model):
    """Traces of every compiled function of a model's windows and trainers."""
    found = {}
    for holder in (*model._windows.values(), *model._trainers.values()):
        for name, value in vars(holder).items():
            if hasattr(value, "experimental_get_tracing_count"):
                key = type(holder).__name__, *holder_key(holder), name
                found[key] = value.experimental_get_tracing_count()
    return found


def holder_key(holder):
    window = getattr(holder, "window", holder)
    return window.first, window.by_input


@pytest.mark.parametrize("head", heads.HEADS)
def test_a_second_task_traces_nothing_anew(net, make_task, head):
    """Another way, shot and plan; its images fill more than one chunk."""
    model = ktt.wrap(net, head=head)
    callback = ktt.TaskAdaptiveSparse(
        ktt.Budget(memory=5_600, macs=0.6),
        criterion="tinytrain",
        cost_model="paper",
    )
    settings = {"steps_per_epoch": 2, "views": 1, "verbose": 0}
    model.fit(make_task(12, 3), callbacks=[callback], **settings)
    model.evaluate(make_task(9, 3), verbose=0)
    plan, traces = model.plan, count_traces(model)
    assert len(traces) >= 5
    for count, way in ((20, 5), (CHUNK + 2, 2)):
        task = make_task(count, way, seed=count)
        model.fit(task, callbacks=[callback], **settings)
        model.evaluate(make_task(10, way), verbose=0)
        assert model.plan.channels != plan.channels
        assert count_traces(model) == traces


@pytest.mark.parametrize("head", heads.HEADS)
def test_a_plan_of_the_same_kind_traces_nothing_anew(
    net, make_task, make_plan, head
):
    """Other inputs and biases, more or fewer, beside other channels."""
    model = ktt.wrap(net, head=head)
    settings = {"steps_per_epoch": 2, "views": 1, "verbose": 0}
    traces = None
    for count, way, inputs, channels, biases in (
        (12, 3, [0, 1, 2], {"dw": [0, 1]}, ["project"]),
        (20, 5, [2], {}, ["dw", "project", "last"]),
        (9, 3, [1, 3], {"project": [1]}, []),
    ):
        plan = make_plan(
            model,
            channels,
            inputs={"expand": inputs, "last": inputs},
            biases=biases,
        )
        ktt.apply_plan(model, plan)
        task = make_task(count, way, seed=count)
        model.fit(task, **settings)
        model.evaluate(make_task(10, way), verbose=0)
        traces = traces or count_traces(model)
        assert count_traces(model) == traces
    assert {key[2] for key in traces} == {frozenset({"expand", "last"})}
    # Another kind of plan is compiled once, and the first one is kept.
    ktt.apply_plan(model, make_plan(model, {"expand": [1]}))
    model.fit(task, **settings)
    ktt.apply_plan(model, plan)
    model.fit(task, **settings)
    again = count_traces(model)
    assert {key: again[key] for key in traces} == traces
    assert len(again) == 2 * len(traces)
