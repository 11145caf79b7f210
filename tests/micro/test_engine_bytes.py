"""Law 7: Python, planner and what is written of the regions agree."""

import engine_library
import numpy as np
import pytest
from devices import make_device, random_channels
from engine_library import ADAM, MISALIGNED, MOMENTUM, OK, SGD, TOO_SMALL
from random_nets import random_net

import keras_tinytrain as ktt
from keras_tinytrain import zoo
from keras_tinytrain.selection import select


def costs_of(model, pixels, way):
    """Counts what `export_micro` exports, the whole or the plan's tail."""
    first = next(iter(model.network.layers)) if pixels else None
    return ktt.layer_costs(model, way=way, first=first)


def named(channels):
    return {name: len(c) for name, c in channels.items()}


def written(device, rng):
    """Runs two steps; returns how much of the regions was written."""
    engine = device.engine
    samples = rng.normal(size=(2, *device.shape))
    device.observe(samples, (0, 1))
    for label, sample in enumerate(samples):
        assert engine.accumulate(sample, label)[0] == OK
    assert engine.update() == OK
    assert engine.predict(samples[0])[0] == OK
    return engine.marks()


@pytest.mark.parametrize("seed", range(20))
def test_random_nets_and_plans(engine_build, randomized, tmp_path, seed):
    """Three plans each of twenty nets."""
    rng = np.random.default_rng(seed)
    net = randomized(random_net(rng), seed)
    for i in range(3):
        model = ktt.wrap(net, head=rng.choice(["linear", "prototype"]))
        way, pixels = int(rng.integers(2, 12)), bool(rng.integers(2))
        costs = costs_of(model, pixels, way)
        channels = random_channels(rng, costs, share=0.2 + 0.3 * i)
        device = make_device(
            engine_build,
            model,
            channels,
            tmp_path,
            way=way,
            from_pixels=pixels,
        )
        sizes = device.start(rate=1e-3)
        assert costs.memory_bytes(named(channels)) == sum(sizes)
        assert device.engine.linear_bytes(device.counts) == sum(sizes)
        reported = device.result.persistent_bytes, device.result.work_bytes
        assert reported == sizes
        assert written(device, rng) == sizes


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("optimizer", "sets"), [(SGD, 2), (MOMENTUM, 3), (ADAM, 4)]
)
def test_optimizers_differ_in_sets_of_what_trains(
    engine_build, randomized, tmp_path, seed, optimizer, sets
):
    rng = np.random.default_rng(seed)
    model = ktt.wrap(randomized(random_net(rng), seed))
    channels = random_channels(rng, ktt.layer_costs(model))
    device = make_device(
        engine_build, model, channels, tmp_path, optimizer=optimizer
    )
    sizes = device.start(rate=1e-3)
    numbers = device.engine.trained().size
    lists = 2 * (len(device.counts) + len(device.counts) % 2)
    lists += 2 * sum(device.counts)
    assert sizes[0] == 4 * sets * numbers + lists
    assert written(device, rng) == sizes


@pytest.mark.parametrize("seed", range(12))
def test_scoring(engine_build, randomized, tmp_path, seed):
    rng = np.random.default_rng(seed)
    model = ktt.wrap(randomized(random_net(rng), seed))
    channels = random_channels(rng, ktt.layer_costs(model))
    device = make_device(
        engine_build, model, channels, tmp_path, criterion="tinytrain"
    )
    engine = device.engine
    sizes = engine.scoring_bytes()
    assert engine.init(*sizes) == OK
    assert engine.status("engine_begin_scoring") == OK
    samples = rng.normal(size=(2, *device.shape))
    device.observe(samples, (0, 1))
    assert [engine.score(s, i) for i, s in enumerate(samples)] == [OK, OK]
    assert engine.end_scoring() == OK
    assert engine.marks() == sizes


BUDGETS = {
    "mcunet": "0.89MB",
    "mobilenet_v2": "1.06MB",
    "proxyless_nas": "0.78MB",
}


@pytest.mark.parametrize("name", BUDGETS)
def test_nets_of_the_zoo(engine_build, tmp_path, name):
    """The tail of a plan for half of the paper's budget, chosen by `select`.

    Everything is counted, and it stays below the published memory, in which
    there is no head and no engine.
    """
    rng = np.random.default_rng(0)
    model = ktt.wrap(zoo.build(name, weights=None))
    published = ktt.Budget(BUDGETS[name])
    budget = ktt.Budget(published.memory_bytes * 6 // 10)
    costs = ktt.layer_costs(model)
    scores = {c.name: rng.exponential(size=c.channels) for c in costs}
    plan = select(scores, costs, budget)
    device = make_device(engine_build, model, plan.channels, tmp_path, way=10)
    sizes = device.start()
    assert plan.memory_bytes == sum(sizes) <= budget.memory_bytes
    assert written(device, rng) == sizes
    # The same plan in a device that has the whole network.
    pixels = make_device(
        engine_build,
        model,
        plan.channels,
        tmp_path,
        way=10,
        from_pixels=True,
    )
    whole = costs_of(model, True, 10).memory_bytes(named(plan.channels))
    assert whole == sum(pixels.engine.training_bytes(pixels.counts))


class TestRefusals:
    @pytest.fixture
    def device(self, engine_build, net, tmp_path):
        channels = {"expand": [1, 5], "project": [0, 3], "last": [2]}
        return make_device(engine_build, ktt.wrap(net), channels, tmp_path)

    @pytest.mark.parametrize("region", [0, 1])
    @pytest.mark.parametrize("missing", [1, 100])
    def test_too_small_says_how_much_and_changes_nothing(
        self, device, region, missing
    ):
        engine = device.engine
        for call, sizes in (
            (
                lambda: engine.plan(device.channels),
                engine.training_bytes(device.counts),
            ),
            (
                lambda: engine.status("engine_begin_scoring"),
                engine.scoring_bytes(),
            ),
        ):
            given = list(sizes)
            given[region] -= missing
            assert engine.init(*given) == OK
            assert call() == TOO_SMALL
            assert engine.numbers == (sizes[region], given[region], missing)
            assert engine.marks() == (0, 0)

    def test_a_plan_that_does_not_fit_leaves_the_old_one(self, device):
        rng = np.random.default_rng(0)
        engine, samples = device.engine, rng.normal(size=(2, *device.shape))
        device.start()
        device.observe(samples, (0, 1))
        before = engine.predict(samples[1])[2]
        more = [list(range(layer["channels"])) for layer in device.blob.layers]
        assert engine.plan(more) == TOO_SMALL
        np.testing.assert_array_equal(engine.predict(samples[1])[2], before)
        assert engine.accumulate(samples[0], 1)[0] == OK

    @pytest.mark.parametrize("shift", range(1, 8))
    def test_misaligned_regions(self, device, shift):
        engine = device.engine
        for which in range(2):
            assert engine.init(4096, 4096, shift={which: shift}) == MISALIGNED
            assert engine.numbers[0] == 8


def test_one_more_layer_never_takes_less(engine_build, randomized, tmp_path):
    """What `select` relies on, on host and device."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        model = ktt.wrap(randomized(random_net(rng), seed))
        every = ktt.layer_costs(model)
        costs = ktt.layer_costs(model, first=every[0].name)
        channels = {c.name: [0] for c in costs}
        device = make_device(engine_build, model, channels, tmp_path)
        counts = np.zeros(len(costs), int)
        before = device.engine.linear_bytes(counts)
        for layer in rng.permutation(len(costs)):
            counts[layer] = 1
            with_it = device.engine.linear_bytes(counts)
            each = costs.channel_bytes(int(layer))
            assert with_it >= before + each
            before = with_it


def test_the_engine_keeps_no_bytes_for_itself():
    """It has neither a heap nor static state: nothing else is counted."""
    for path in engine_library.SOURCES.rglob("*.cpp"):
        text = path.read_text()
        for word in ("malloc", "new ", "static ", "std::vector"):
            lines = [s for s in text.splitlines() if word in s]
            lines = [s for s in lines if not s.lstrip().startswith("//")]
            # Neither a cast nor `new` at a given place takes any.
            taking = [
                s for s in lines if "static_cast" not in s and "new (" not in s
            ]
            assert not taking, path
