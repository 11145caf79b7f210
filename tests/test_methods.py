import keras
import numpy as np
import pytest

import keras_tinytrain as ktt
from keras_tinytrain.costs import full_train_bytes
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
    assert names[0] == "none"
    assert {
        "full",
        "full-linear",
        "lastlayer",
        "sparseupdate",
        "tinytrain",
    } < set(names)
    for name in names:
        method = ktt.methods.get(name)
        assert method.name == name
        assert method.title
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
        learner.learn(second, seed=4)
    assert count_traces(used.model) == traces
    np.testing.assert_array_equal(
        used.predict(second.images), fresh.predict(second.images)
    )
    assert used.plan == fresh.plan
    if used.steps:
        fresh.learn(second, seed=5)
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
    elif name.startswith("full"):
        assert cost == (full_train_bytes(model), costs.full_macs, weights)
    elif name == "sparseupdate":
        # Two of 4 inputs of 8 channels, two channels of 9 weights, three of
        # 4 inputs of 6 channels with 3x3 weights; the chain behind `expand`.
        memory = costs.peak_bytes + 16 * (16 + 18 + 162)
        chain = sum(layer.macs for layer in costs[2:])
        macs = chain + 64 * (16 + 18) + 9 * 162
        assert cost == (memory, macs, 16 + 18 + 162)
    elif name == "tinytrain":
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
