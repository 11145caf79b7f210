import keras
import numpy as np
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain import published
from keras_tinytrain.adapters import PREFIX
from keras_tinytrain.costs import batch_train_bytes
from keras_tinytrain.methods import registry
from keras_tinytrain.methods.learner import PlanLearner

BUDGET = ktt.Budget(memory="16KB", macs=0.6)


@pytest.fixture
def scheme(net, tmp_path):
    """The file of a scheme for the small net, which has no published one."""
    costs = ktt.layer_costs(ktt.wrap(net))
    ratios = {1: 0.5, 2: 0.25, 4: 0.75}
    scheme = ktt.Scheme("own", costs.fingerprint, 5, 4, ratios)
    path = tmp_path / "scheme.json"
    path.write_text(scheme.to_json())
    return path


def build(name, net, **options):
    return ktt.methods.build(name, net, budget=BUDGET, steps=3, **options)


def test_every_method_says_what_it_is():
    names = ktt.methods.names()
    assert names == [
        "none",
        "full",
        "full-linear",
        "lastlayer",
        "transductive",
        "adapterdrop75",
        "adapterdrop50",
        "adapterdrop25",
        "tinytl",
        "sparseupdate",
        "tinytrain-published",
        "tinytrain",
        "tinytrain-matched",
    ]
    published_names = published.titles()
    assert [n for n in names if n in published_names] == list(published_names)
    for name in names:
        method = ktt.methods.get(name)
        assert method.name == name
        assert method.title == published_names.get(name, method.title)
        assert len(method.description) > 80
    titles = [ktt.methods.get(name).title for name in names]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", ktt.methods.names())
def test_every_method_learns_task_after_task(name, net, make_task, scheme):
    """The second task gives what it gives alone, without a new trace."""
    before = [w.numpy() for w in net.weights]
    first, second = make_task(12, way=3), make_task(20, way=5, seed=1)
    query = make_task(30, way=3)
    used, fresh = (build(name, net, scheme=scheme) for _ in range(2))
    assert used.plan is None
    used.learn(first, query_images=query.images)
    check_result(used, name, net, query)
    traces = count_traces(used.model)
    for learner in (used, fresh):
        learner.learn(second, query_images=second.images, seed=4)
    assert count_traces(used.model) == traces
    np.testing.assert_array_equal(
        used.predict(second.images), fresh.predict(second.images)
    )
    assert used.plan == fresh.plan
    if used.steps:
        fresh.learn(second, query_images=second.images, seed=5)
        changed = used.predict(second.images) != fresh.predict(second.images)
        assert changed.any()
    for old, new in zip(before, net.weights):
        np.testing.assert_array_equal(old, new)


def check_result(learner, name, net, query):
    """Checks what a learner says after a task of three classes."""
    logits = learner.predict(query.images)
    assert logits.shape == (len(query), 3)
    hits = logits.argmax(-1) == query.labels
    assert learner.evaluate(query) == pytest.approx(hits.mean())
    assert hits.mean() > 0.5
    chooses = ktt.methods.get(name).adaptive
    assert (learner.selection_seconds is not None) == chooses
    cost = learner.memory_bytes, learner.macs, learner.trained_weights
    assert {type(value) for value in cost} == {int}
    model = ktt.wrap(net)
    costs = ktt.layer_costs(model, cost_model="paper")
    last = ktt.last_layer_plan(costs)
    weights = sum(layer.weights for layer in costs)
    if name == "none":
        assert cost == (costs.peak_bytes, 0, 0)
    elif name == "lastlayer":
        assert cost == (last.memory_bytes, last.macs, last.trained_weights)
    elif name.startswith(("full", "transductive")):
        memory = batch_train_bytes(model, ktt.full_plan(costs))
        assert cost == (memory, costs.full_macs, weights)
    elif name == "sparseupdate":
        # Two of 4 inputs of 8 channels, two channels of 9 weights, three of
        # 4 inputs of 6 channels with 3x3 weights; the chain behind `expand`.
        memory = costs.peak_bytes + 16 * (16 + 18 + 162)
        chain = sum(layer.macs for layer in costs[2:])
        macs = chain + 64 * (16 + 18) + 9 * 162
        assert cost == (memory, macs, 16 + 18 + 162)
    elif name.startswith(("tinytl", "adapterdrop")):
        # The one block has a module, at 4x4 positions: two groups of two
        # channels with 5x5 kernels, and 4 to 4 channels. Stored are what goes
        # in and out of these, and the activations behind the bias of `stem`.
        module = (32 + 32) * 2 + (64 + 64)
        activations = 256 + 512 + 512 + 64 + 54
        memory = 400 * (module + activations) + 16 * 216
        # Kernels, the input of the last one, and of `last` of the net.
        macs = 16 * (100 + 100 + 16) + 16 * 16 + costs[-1].macs
        assert cost == (memory, macs, 216)
    elif name == "tinytrain-matched":
        scheme = costs.peak_bytes + 16 * (16 + 18 + 162)
        assert 0 < learner.memory_bytes <= scheme
    else:
        assert 0 < learner.memory_bytes <= BUDGET.memory_bytes
        assert 0 < learner.macs <= 0.6 * costs.full_macs


def count_traces(model):
    holders = [*model._windows.values(), *model._trainers.values()]
    return sum(
        value.experimental_get_tracing_count()
        for holder in holders
        for name, value in vars(holder).items()
        if name.startswith("_compiled")
    )


def test_full_in_the_arena_costs_what_its_plan_says(net, task):
    learner = build("full", net, cost_model="arena")
    learner.learn(task)
    assert learner.memory_bytes == learner.plan.memory_bytes


@pytest.fixture
def blocks_net(randomized):
    """A stem, four blocks, and a last convolution; some have a norm."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(image)
    for i in range(4):
        y = layers.Conv2D(6, 1, activation="relu", name=f"expand{i}")(x)
        y = layers.DepthwiseConv2D(
            3, padding="same", use_bias=False, name=f"dw{i}"
        )(y)
        if i % 2:
            y = layers.BatchNormalization(name=f"norm{i}")(y)
        y = layers.Conv2D(4, 1, name=f"project{i}")(y)
        x = layers.Add(name=f"add{i}")([x, y])
    x = layers.Conv2D(6, 3, activation="relu", name="last")(x)
    return randomized(keras.Model(image, x, name="blocks"))


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("tinytl", 0),
        ("adapterdrop25", 1),
        ("adapterdrop50", 2),
        ("adapterdrop75", 3),
    ],
)
def test_adapters_train_modules_and_the_biases_behind_the_first(
    name, first, blocks_net, task, weights_of
):
    learner = build(name, blocks_net)
    before = weights_of(learner.model)
    learner.learn(task)
    biased = {"stem"} if first == 0 else set()
    for i in range(first, 4):
        # A depthwise layer has a bias where a norm is folded.
        biased |= {f"expand{i}", f"project{i}"} | (
            {f"dw{i}"} if i % 2 else set()
        )
    biased.add("last")
    found = {
        layer.name
        for layer in learner.plan.layers
        if not layer.name.startswith(PREFIX)
    }
    assert found == biased
    ends = {n.removeprefix(PREFIX) for n in before if n.startswith(PREFIX)}
    assert ends == {
        f"{i:02d}_{part}"
        for i in range(first, 4)
        for part in ("group0", "group1", "project")
    }
    for layer, (kernel, bias) in weights_of(learner.model).items():
        trains = layer.startswith(PREFIX)
        assert (kernel != before[layer][0]).any() == trains, layer
        moved = (bias != before[layer][1]).any()
        assert moved == (trains or layer in biased), layer
    # Dropped blocks and what is below are not run in the steps.
    below = {
        f"{k}{i}" for k in ("expand", "dw", "project") for i in range(first)
    }
    below |= {"stem"} if first else set()
    assert below.isdisjoint(learner.model.training_window().layers)


def test_fewer_adapters_cost_less(blocks_net):
    names = ("adapterdrop75", "adapterdrop50", "adapterdrop25", "tinytl")
    for cost_model in ("paper", "arena"):
        plans = [
            build(name, blocks_net, cost_model=cost_model).planner.plan
            for name in names
        ]
        for cost in ("memory_bytes", "macs", "trained_weights"):
            values = [getattr(plan, cost) for plan in plans]
            assert values == sorted(set(values)), (cost_model, cost)


def test_adapters_need_a_block():
    net = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match="inverted residual blocks"):
        build("tinytl", net)


def test_heads(net):
    heads = {
        name: build(name, net).model.head for name in ("full", "tinytrain")
    }
    assert heads == {"full": "prototype", "tinytrain": "linear"}
    assert build("full-linear", net).model.head == "linear"
    assert build("full", net, head="linear").model.head == "linear"


def test_an_unknown_method_is_told_the_nearest_first(net):
    with pytest.raises(ValueError, match=r"one of: tinytrain, .*'tinytrian'"):
        build("tinytrian", net)


def test_sparseupdate_needs_a_scheme(net):
    with pytest.raises(ValueError, match=r"there is none.*--out=FILE"):
        build("sparseupdate", net)


def test_tinytrain_needs_a_budget_that_does(net):
    with pytest.raises(ValueError, match=r"Expected a budget for .*tinytrain"):
        ktt.methods.build("tinytrain", net)
    with pytest.raises(ValueError, match="The smallest in memory takes"):
        ktt.methods.build("tinytrain", net, budget=ktt.Budget("1KB"))


def test_a_method_of_ones_own(net, task, tmp_path, monkeypatch):
    """A plan that was saved is a method in five lines."""
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    costs = ktt.layer_costs(ktt.wrap(net), cost_model="paper")
    file = tmp_path / "plan.json"
    file.write_text(ktt.last_layer_plan(costs).to_json())

    @ktt.methods.register("saved", title="Saved")
    def saved(net: keras.Model, settings) -> PlanLearner:
        """Trains under a plan that was made before."""
        plan = ktt.UpdatePlan.from_json(file.read_text())
        model = ktt.wrap(net)
        return PlanLearner(model, ktt.StaticSparse(plan), steps=settings.steps)

    learner = build("saved", net)
    learner.learn(task)
    assert list(learner.plan.channels) == [costs[-1].name]
    assert "saved" in ktt.methods.names()
    with pytest.raises(ValueError, match="Expected a new name"):
        ktt.methods.register("none", title="None")(saved)


def test_a_method_without_docstring_is_refused():
    with pytest.raises(ValueError, match="a function with a docstring"):
        ktt.methods.register("new", title="New")(lambda net, settings: None)
