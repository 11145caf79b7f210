import keras
import numpy as np
import pytest

import keras_tinytrain as ktt

QUICK = {"steps_per_epoch": 2, "views": 0, "verbose": 0}


def test_the_plan_is_that_of_the_stages_one_by_one(net, task):
    budget = ktt.Budget(memory=9_000, macs=0.7)
    for criterion in ("tinytrain", "earliest"):
        model = ktt.wrap(net)
        costs = ktt.layer_costs(model, cost_model="paper")
        scores = ktt.channel_fisher(model, task)
        expected = ktt.select(scores, costs, budget, criterion=criterion)
        callback = ktt.TaskAdaptiveSparse(
            budget, criterion=criterion, cost_model="paper"
        )
        model.fit(task, callbacks=[callback], **QUICK)
        assert model.plan.channels == expected.channels
        assert model.plan.score == pytest.approx(expected.score, rel=1e-4)
        assert (model.plan.criterion, model.plan.cost_model) == (
            criterion,
            "paper",
        )
        assert model.plan.memory_bytes <= 9_000
        assert model.plan.macs <= 0.7 * costs.full_macs


def test_the_plan_does_not_depend_on_earlier_tasks(net, task, make_task):
    callback = ktt.TaskAdaptiveSparse(ktt.Budget(macs=0.5))
    found = []
    for earlier in ([], [make_task(10, 5, seed=9)]):
        model = ktt.wrap(net)
        model.compile(keras.optimizers.SGD(1.0))
        for other in earlier:
            model.fit(other, callbacks=[callback], **QUICK)
        history = model.fit(task, callbacks=[callback], **QUICK)
        found.append((model.plan, history.history, model.predict(task.images)))
    assert found[0][0] == found[1][0]
    assert found[0][1] == found[1][1]
    np.testing.assert_array_equal(found[0][2], found[1][2])


def test_layers_out_of_reach_are_not_scored(net, task):
    model = ktt.wrap(net)
    macs = ktt.layer_costs(model).macs({"project": 4})
    budget = ktt.Budget(macs=macs)
    model.fit(task, callbacks=[ktt.TaskAdaptiveSparse(budget)], **QUICK)
    assert set(model.plan.channels) <= {"project", "last"}
    assert model.training_window().first == model.first_candidate != "stem"


def test_it_comes_before_other_callbacks_see_the_plan(net, task):
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_begin=lambda _: seen.append(note.model.plan)
    )
    model = ktt.wrap(net)
    adaptive = ktt.TaskAdaptiveSparse(ktt.Budget(macs=0.5))
    model.fit(task, callbacks=[adaptive, note], **QUICK)
    assert seen == [model.plan]


@pytest.mark.parametrize("unit", ["memory", "macs"])
def test_a_budget_too_small_names_the_smallest(net, task, unit):
    model = ktt.wrap(net)
    first = ktt.TaskAdaptiveSparse(ktt.Budget(macs=0.6))
    model.fit(task, callbacks=[first], **QUICK)
    plan, before = model.plan, model.get_weights()
    costs = ktt.layer_costs(model)
    # The default criterion trains no depthwise layer.
    one = [{c.name: 1} for c in costs if not c.per_channel_input]
    smallest = {
        "memory": min(costs.memory_bytes(o) for o in one),
        "macs": min(costs.macs(o) for o in one),
    }[unit]
    callback = ktt.TaskAdaptiveSparse(ktt.Budget(**{unit: smallest - 1}))
    words = rf"Expected a budget.*{smallest:,} .*Received: Budget\("
    with pytest.raises(ValueError, match=words):
        model.fit(task, callbacks=[callback], **QUICK)
    assert model.plan is plan
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)
    enough = ktt.TaskAdaptiveSparse(ktt.Budget(**{unit: smallest}))
    model.fit(task, callbacks=[enough], **QUICK)
    assert [len(c) for c in model.plan.channels.values()] == [1]


def test_a_static_plan(net, task):
    model = ktt.wrap(net)
    plan = ktt.last_layer_plan(ktt.layer_costs(model))
    model.fit(task, callbacks=[ktt.StaticSparse(plan)], **QUICK)
    assert model.plan is plan
    assert model.training_window().first == "last"
    assert model.trainable_variables[-2].shape == (3, 3, 4, 6)


def test_a_static_plan_of_another_net_is_refused(make_net, task):
    model, other = ktt.wrap(make_net()), ktt.wrap(make_net(norm=True))
    plan = ktt.last_layer_plan(ktt.layer_costs(model))
    # Folding a norm changes no layer's size.
    ktt.apply_plan(other, plan)
    foreign = ktt.wrap(keras.Sequential(model.source.layers[:2]))
    before = foreign.get_weights()
    with pytest.raises(ValueError, match="Expected a plan for the network"):
        foreign.fit(task, callbacks=[ktt.StaticSparse(plan)], **QUICK)
    assert foreign.plan is None
    for old, new in zip(before, foreign.get_weights()):
        np.testing.assert_array_equal(old, new)
