"""Law 7 for a device that selects: an export names the bytes, to the byte."""

import numpy as np
import pytest
from random_nets import random_net

import keras_tinytrain as ktt
from keras_tinytrain import published, zoo
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.micro import EngineError
from keras_tinytrain.micro.handle import Handle
from keras_tinytrain.selection import CRITERIA

pytestmark = pytest.mark.usefixtures("compiled")

WAY = 3
NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")


def random_model(seed):
    """Returns a model, and a budget that trains some of it also as a whole."""
    rng = np.random.default_rng(seed)
    model = ktt.wrap(random_net(rng), head=rng.choice(["linear", "prototype"]))
    stem = next(iter(model.network.layers))
    costs = ktt.layer_costs(model, way=WAY, first=stem)
    wide = [c for c in costs if not c.per_channel_input]
    one = costs.memory_bytes({wide[int(rng.integers(len(wide)))].name: 1})
    everything = costs.memory_bytes({c.name: c.channels for c in costs})
    return model, ktt.Budget(max(one, int(everything * rng.random())))


def counted_bytes(model, blob, pixels):
    """Returns what Python counts for the candidates of a blob."""
    names = [layer["name"] for layer in blob.layers if layer["flags"] & 1]
    first = next(iter(model.network.layers)) if pixels else names[0]
    costs = ktt.layer_costs(model, way=blob.head["max_way"], first=first)
    return costs.selecting_bytes(names)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("criterion", CRITERIA)
def test_python_counts_what_the_engine_takes(tmp_path, criterion, seed):
    model, budget = random_model(seed)
    for pixels in (False, True):
        result = ktt.export_micro(
            *(model, tmp_path),
            budget=budget,
            criterion=criterion,
            from_pixels=pixels,
            max_way=WAY,
        )
        data = result.blob.read_bytes()
        needed = Handle(data, WAY, "adam").selecting_bytes()
        assert counted_bytes(model, read_blob(data), pixels) == needed


@pytest.mark.parametrize("name", NETS)
def test_nets_of_the_zoo(tmp_path, name):
    model = ktt.wrap(zoo.build(name, weights=None))
    memory, macs = published.costs(name, "tinytrain")
    budget = ktt.Budget(int(memory), macs=round(macs))
    for pixels in (False, True):
        result = ktt.export_micro(
            model, tmp_path, budget=budget, from_pixels=pixels
        )
        data = result.blob.read_bytes()
        needed = Handle(data, 10, "adam").selecting_bytes()
        assert counted_bytes(model, read_blob(data), pixels) == needed
        assert result.persistent_bytes >= needed[0]
        assert result.work_bytes >= needed[1]


def adapt(blob, sizes, samples):
    """Scores, selects and trains in regions of so many bytes."""
    engine = ktt.micro.Engine(blob, *sizes, learning_rate=1e-3)
    labels = np.arange(len(samples)) % WAY
    for sample, label in zip(samples, labels):
        engine.observe(sample, label)
    for sample, label in zip(samples, labels):
        engine.score(sample, label)
    engine.plan(engine.select())
    engine.train(samples, labels, steps=1)
    engine.settle(samples, labels)
    return engine.predict(samples[0])


@pytest.mark.parametrize("seed", range(8))
def test_an_export_names_the_bytes_of_the_whole_adaptation(tmp_path, seed):
    """One byte less of either region is refused, with the three numbers."""
    model, budget = random_model(seed)
    result = ktt.export_micro(model, tmp_path, budget=budget, max_way=WAY)
    sizes = result.persistent_bytes, result.work_bytes
    shape = ktt.micro.Engine(result.blob).sample_shape
    samples = np.random.default_rng(seed).normal(size=(WAY, *shape))
    assert np.isfinite(adapt(result.blob, sizes, samples)).all()
    for region in range(2):
        given = [n - (i == region) for i, n in enumerate(sizes)]
        with pytest.raises(EngineError) as caught:
            adapt(result.blob, given, samples)
        error = caught.value
        assert error.reason == "region_too_small"
        numbers = error.requested, error.available, error.missing
        assert numbers == (sizes[region], given[region], 1)


def test_a_plan_of_the_host_needs_no_scoring(net, tmp_path):
    """A device that has a plan takes what that takes to train."""
    model = ktt.wrap(net)
    costs = ktt.layer_costs(model)
    one = {"last": np.array([0])}
    ktt.apply_plan(model, ktt.selection.make_plan(one, costs, "test"))
    given = ktt.export_micro(model, tmp_path, budget=ktt.Budget())
    needed = Handle(given.blob.read_bytes(), 10, "adam")
    counts = [
        int(layer["name"] == "last")
        for layer in read_blob(given.blob.read_bytes()).layers
    ]
    taken = needed.training_bytes(counts)
    assert (given.persistent_bytes, given.work_bytes) == taken
    assert needed.selecting_bytes()[1] > given.work_bytes
