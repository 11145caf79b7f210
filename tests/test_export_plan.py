"""What goes with the network: cut, plan, costs, the name of the base."""

import keras
import numpy as np
import pytest
from exported_nets import build_planned, export, plan_of, rebuilt
from keras import layers

import keras_tinytrain as ktt


@pytest.fixture(scope="module")
def planned():
    return build_planned()


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
