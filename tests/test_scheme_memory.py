"""The published memory models of schemes."""

import pytest
from scheme_problems import make_costs, make_scheme

import keras_tinytrain as ktt
from keras_tinytrain import zoo
from keras_tinytrain.scheme_memory import SchemeMemory
from keras_tinytrain.sparse_update import published_schemes

# Extra memory in units of 1,024 bytes, as the schemes are published.
PUBLISHED = {
    "mcunet": [49.8, 74.8, 99.8, 125.0, 148.4],
    "mobilenet_v2": [49.8, 73.9, 99.4, 123.6, 138.2],
    "proxyless_nas": [49.7, 74.9, 98.5, 120.2, 148.2],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_schemes_take_what_their_names_say(name):
    model = ktt.wrap(zoo.build(name, weights=None))
    costs = ktt.layer_costs(model)
    schemes = published_schemes(costs)
    assert len(schemes) == 5
    sizes = [SchemeMemory(costs).of(s) / 8 / 1024 for s in schemes.values()]
    assert sorted(round(size, 1) for size in sizes) == PUBLISHED[name]
    for label, scheme in schemes.items():
        size = SchemeMemory(costs).of(scheme) // 8 // 1024
        assert f"{size}kb" == label
        # The other model is that of the plan.
        plan = ktt.sparse_update_plan(model, scheme, cost_model="paper")
        paper = SchemeMemory(costs, "paper").of(scheme)
        assert paper == 8 * plan.memory_bytes


def test_memory_by_hand():
    costs = make_costs()

    def bits(biases, ratios):
        return SchemeMemory(costs).of(make_scheme(costs, biases, ratios))

    # The classifier reads two numbers.
    assert bits(0, {}) == 8 * 2
    # Two biases, and a bit of each of 16 outputs.
    assert bits(1, {}) == 16 + 32 * 2 + 16
    biases = 16 + 32 * 18 + 16 + 64 + 64
    assert bits(3, {}) == biases
    # Half of 16 weights and of 64 inputs; nothing of two inputs in eight.
    assert bits(3, {3: 0.5}) == biases + 8 * (8 + 32)
    assert bits(3, {3: 0.1}) == biases
    # Two channels of nine weights, with as many inputs of 8 numbers.
    assert bits(3, {2: 0.25}) == biases + 8 * (18 + 16)
    assert bits(3, {1: 1.0}) == biases + 8 * (32 + 32)


def test_memory_of_the_paper_model_by_hand():
    costs = make_costs()
    memory = SchemeMemory(costs, "paper")
    assert memory.of(make_scheme(costs, 4, {})) == 8 * 384
    # Half of 16 weights and two channels of nine, in four floats each.
    scheme = make_scheme(costs, 4, {3: 0.5, 2: 0.25})
    assert memory.of(scheme) == 8 * (384 + 16 * (8 + 18))


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match=r"\('int8', 'paper'\)\. Rec.*'arena'"):
        SchemeMemory(make_costs(), "arena")
