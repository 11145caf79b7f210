"""The device engine from Python: what Keras does, and what it refuses."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras_steps import keras_losses

import keras_tinytrain as ktt
from keras_tinytrain.export.checkpoint_file import Checkpoint
from keras_tinytrain.micro import EngineError, library

WAY = 3
RATE = 0.004


pytestmark = pytest.mark.usefixtures("compiled")


@dataclasses.dataclass
class Case:
    """A model that is exported as a whole, with a budget for a part of it."""

    model: object
    blob: bytes
    budget: ktt.Budget
    task: ktt.Examples

    def engine(self, *sizes, **options):
        options = {"learning_rate": RATE} | options
        return ktt.micro.Engine(self.blob, *sizes, **options)

    def chosen(self, engine):
        """Returns what the engine selects."""
        images, labels = self.task.images, self.task.labels
        for image, label in zip(images, labels):
            engine.observe(image, label)
        for image, label in zip(images, labels):
            engine.score(image, label)
        return engine.select()

    def learned(self, steps=3):
        """Returns an engine that has learned the task."""
        engine = self.engine()
        engine.plan(self.chosen(engine))
        engine.train(self.task.images, self.task.labels, steps=steps)
        engine.settle(self.task.images, self.task.labels)
        return engine

    def logits(self, engine):
        return np.stack([engine.predict(image) for image in self.task.images])


@pytest.fixture
def case(make_net, make_task, tmp_path):
    model = ktt.wrap(make_net(norm=True))
    costs = ktt.layer_costs(model, way=WAY, first="stem")
    everything = {cost.name: cost.channels for cost in costs}
    memory = costs.memory_bytes(everything) * 6 // 10
    budget = ktt.Budget(memory, macs=sum(cost.macs for cost in costs))
    result = ktt.export_micro(
        model, tmp_path, budget=budget, max_way=WAY, from_pixels=True
    )
    return Case(model, result.blob.read_bytes(), budget, make_task(way=WAY))


def test_a_life_as_in_keras(case, make_task):
    """The same plan, losses of ten steps and predictions."""
    model, task = case.model, case.task
    engine = case.engine()
    channels = case.chosen(engine)
    costs = ktt.layer_costs(model, way=WAY, first="stem")
    plan = ktt.select(ktt.channel_fisher(model, task), costs, case.budget)
    assert list(channels) == list(plan.channels)
    for name, chosen in plan.channels.items():
        np.testing.assert_array_equal(channels[name], chosen)
    sizes = {cost.name: cost.channels for cost in costs}
    assert any(len(c) < sizes[name] for name, c in channels.items())

    engine.plan(channels)
    actual = engine.train(task.images, task.labels, steps=10)
    engine.settle(task.images, task.labels)
    ktt.apply_plan(model, plan)
    model.compile(optimizer=keras.optimizers.Adam(RATE))
    expected = keras_losses(model, task.images, task.labels, 10)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)
    assert expected[0] - expected[-1] > 1e-2
    queries = make_task(way=WAY, seed=1).images
    logits = np.stack([engine.predict(image) for image in queries])
    expected = model.predict(queries, verbose=0)
    np.testing.assert_allclose(logits, expected, atol=2e-3)
    np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))


def test_a_checkpoint_goes_to_keras_and_back(case, tmp_path):
    engine = case.learned()
    engine.save(tmp_path / "device.ttck")
    data = (tmp_path / "device.ttck").read_bytes()
    ktt.load_checkpoint(case.model, tmp_path / "device.ttck")
    ktt.save_checkpoint(case.model, tmp_path / "host.ttck")
    assert (tmp_path / "host.ttck").read_bytes() == data
    expected = case.model.predict(case.task.images, verbose=0)
    np.testing.assert_allclose(case.logits(engine), expected, atol=2e-3)

    other = case.engine()
    other.load(tmp_path / "host.ttck")
    np.testing.assert_array_equal(case.logits(other), case.logits(engine))
    assert np.ptp(case.logits(other)) > 0.1
    other.save(tmp_path / "again.ttck")
    assert (tmp_path / "again.ttck").read_bytes() == data


@pytest.mark.parametrize("newer", [0, 1])
def test_the_newer_of_two_slots_is_loaded(case, tmp_path, newer):
    case.learned().save(tmp_path / "one.ttck")
    one = Checkpoint.from_bytes((tmp_path / "one.ttck").read_bytes())
    turned = one.vectors[[1, 2, 0]]
    slots = [dataclasses.replace(one, vectors=turned)] * 2
    slots[newer] = dataclasses.replace(one, sequence=2)
    parts = [slot.to_bytes() + bytes(64) for slot in slots]
    (tmp_path / "both.ttck").write_bytes(b"".join(parts))
    expected, engine = case.engine(), case.engine()
    expected.load(tmp_path / "one.ttck")
    engine.load(tmp_path / "both.ttck")
    np.testing.assert_array_equal(case.logits(engine), case.logits(expected))


def test_training_may_be_saved_before_it_is_settled(case, tmp_path):
    engine = case.engine()
    engine.plan(case.chosen(engine))
    engine.train(case.task.images, case.task.labels, steps=2)
    before = case.logits(engine)
    engine.save(tmp_path / "now.ttck")
    other = case.engine()
    other.load(tmp_path / "now.ttck")
    np.testing.assert_array_equal(case.logits(other), before)
    # And the training goes on.
    engine.train(case.task.images, case.task.labels, steps=1)
    assert np.abs(case.logits(engine) - before).max() > 1e-4


def test_a_training_that_makes_things_worse_is_undone(case):
    engine = case.engine()
    images, labels = case.task.images, case.task.labels
    channels = case.chosen(engine)
    engine.plan(channels)
    before = case.logits(engine)
    for shift, stays in ((1, False), (0, True)):
        engine.plan(channels)
        for image, label in zip(images, labels):
            engine.observe(image, label)
        engine.hold_out(images, labels)
        engine.train(images, (labels + shift) % WAY, steps=3)
        with pytest.raises(EngineError) as error:
            engine.judge()
        assert error.value.reason == "wrong_state"
        engine.hold_out(images, labels)
        assert engine.judge() == stays
        if stays:
            assert np.abs(case.logits(engine) - before).max() > 1e-3
            return
        for image, label in zip(images, labels):
            engine.observe(image, label)
        np.testing.assert_array_equal(case.logits(engine), before)


def test_a_plan_takes_the_bytes_it_says(case, tmp_path):
    learned = case.learned()
    learned.save(tmp_path / "a.ttck")
    channels = case.chosen(case.engine())
    needed = learned.training_bytes(channels)
    for short in (0, 1):
        sizes = [n - (i == short) for i, n in enumerate(needed)]
        engine = case.engine(*sizes)
        for call in (
            lambda engine=engine: engine.plan(channels),
            lambda engine=engine: engine.load(tmp_path / "a.ttck"),
        ):
            with pytest.raises(EngineError, match="1 are missing") as caught:
                call()
            error = caught.value
            assert error.reason == "region_too_small"
            numbers = error.requested, error.available, error.missing
            assert numbers == (needed[short], needed[short] - 1, 1)
    engine = case.engine(*needed)
    engine.load(tmp_path / "a.ttck")
    np.testing.assert_array_equal(case.logits(engine), case.logits(learned))


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def of_another_model(data):
    checkpoint = Checkpoint.from_bytes(data)
    return dataclasses.replace(checkpoint, base=1).to_bytes()


def of_two_classes(data):
    checkpoint = Checkpoint.from_bytes(data)
    vectors = checkpoint.vectors[:2]
    return dataclasses.replace(checkpoint, vectors=vectors).to_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (flipped, "corrupt"),
        (lambda data: data[:-4], "region_too_small"),
        (lambda data: b"", "no_checkpoint"),
        (of_another_model, "wrong_model"),
        (of_two_classes, "wrong_model"),
    ],
)
def test_a_checkpoint_that_is_refused(case, tmp_path, change, reason):
    """All or nothing: what was learned before stays."""
    engine = case.learned()
    before = case.logits(engine)
    case.learned(steps=1).save(tmp_path / "good.ttck")
    data = (tmp_path / "good.ttck").read_bytes()
    (tmp_path / "bad.ttck").write_bytes(change(data))
    with pytest.raises(EngineError, match=r"Expected .* Received: ") as caught:
        engine.load(tmp_path / "bad.ttck")
    assert caught.value.reason == reason
    np.testing.assert_array_equal(case.logits(engine), before)
    engine.load(tmp_path / "good.ttck")
    assert np.abs(case.logits(engine) - before).max() > 1e-4


def test_calls_out_of_turn(case, tmp_path):
    image = case.task.images[0]
    calls = {
        "select": lambda engine: engine.select(),
        "accumulate": lambda engine: engine.accumulate(image, 0),
        "update": lambda engine: engine.update(),
        "settle": lambda engine: engine.settle([], []),
        "predict": lambda engine: engine.predict(image),
        "save": lambda engine: engine.save(tmp_path / "none.ttck"),
    }
    for name, call in calls.items():
        with pytest.raises(EngineError, match=f"Received: {name}") as caught:
            call(case.engine())
        assert caught.value.reason == "wrong_state"
    # Planned, but nobody was observed.
    engine = case.engine()
    engine.plan({"last": [0]})
    with pytest.raises(EngineError, match="Received: save"):
        calls["save"](engine)
    assert not (tmp_path / "none.ttck").exists()


def test_arguments_that_are_refused(case):
    image = case.task.images[0]
    engine = case.engine()
    with pytest.raises(ValueError, match=r"from 0 to 2.*label=3"):
        engine.observe(image, 3)
    with pytest.raises(ValueError, match=r"from 0 to 2.*label=-1"):
        engine.observe(image, -1)
    with pytest.raises(ValueError, match=r"\(16, 16, 3\).*\(15, 16, 3\)"):
        engine.observe(image[1:], 0)
    with pytest.raises(EngineError, match="finite samples"):
        engine.observe(np.full_like(image, np.nan), 0)
    with pytest.raises(ValueError, match=r"Received: \['head'\]"):
        engine.plan({"head": [0]})
    with pytest.raises(EngineError, match="channels of the model"):
        engine.plan({"last": [6]})
    with pytest.raises(ValueError, match="optimizer='adagrad'"):
        case.engine(optimizer="adagrad")
    with pytest.raises(ValueError, match=r"from 2 to 3.*classes=4"):
        case.engine(classes=4)
    with pytest.raises(ValueError, match="undamaged TTNB"):
        ktt.micro.Engine(flipped(case.blob))


def test_a_plan_of_inputs_and_biases(case, make_plan, tmp_path):
    """What comes back is what the host would have trained."""
    parts = {"inputs": {"last": np.array([1, 3])}, "biases": ["project"]}
    plan = make_plan(case.model, {"dw": np.array([2])}, **parts)
    engine = case.engine()
    assert engine.training_bytes(plan) > engine.training_bytes(plan.channels)
    engine.plan(plan)
    for image, label in zip(case.task.images, case.task.labels):
        engine.observe(image, label)
    engine.train(case.task.images, case.task.labels, steps=2)
    engine.settle(case.task.images, case.task.labels)
    expected = case.logits(engine)
    engine.save(tmp_path / "learned.ttck")
    other = case.engine()
    other.load(tmp_path / "learned.ttck")
    np.testing.assert_array_equal(case.logits(other), expected)
    ktt.load_checkpoint(case.model, tmp_path / "learned.ttck")
    found = {c.name: c.describe() for c in case.model.plan.layers}
    assert found == {"dw": "1/8", "project": "bias", "last": "2/4 in"}
    logits = case.model.predict(case.task.images, verbose=0)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


def test_a_machine_without_a_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(OSError, match=r"install g\+\+.*'no-such-compiler'"):
        library.build(tmp_path)


def test_a_compiler_that_fails_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "fails").write_text(
        '#!/bin/sh\ncase "$*" in *-dM*) exit 0;; esac\necho no room >&2\nexit 3'
    )
    (tmp_path / "fails").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "fails"))
    with pytest.raises(OSError, match=r"exit status 3 and\nno room"):
        library.build(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_builders_at_the_same_time(tmp_path, monkeypatch):
    """Each has a part of its own, and in the end there is one library."""
    script = '#!/bin/sh\nfor out; do :; done\necho whole > "$out"\n'
    (tmp_path / "cxx").write_text(script)
    (tmp_path / "cxx").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "cxx"))
    monkeypatch.setattr(library, "_key", lambda *_: "key")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(library.build, [tmp_path / "cache"] * 8))
    assert {*found} == {*(tmp_path / "cache").iterdir()}
    assert found[0].read_text() == "whole\n"


def test_it_is_compiled_once(monkeypatch):
    folder = library.cache_folder()
    before = library.build(folder)
    stamp = before.stat().st_mtime_ns
    assert library.build(folder) == before
    assert before.stat().st_mtime_ns == stamp
    # Other flags are another library.
    monkeypatch.setattr(library, "_FLAGS", (*library._FLAGS, "-DOTHER"))
    assert library._key("g++", "engine") not in before.name
