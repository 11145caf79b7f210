"""Quantisation-aware fine-tuning of a prefix, in a process of its own."""

import importlib.util
import os
import sys

import numpy as np
import pytest
from quantized_nets import build_mixed
from small_nets import build_net, build_task

import keras_tinytrain as ktt
from keras_tinytrain.lower import lower
from keras_tinytrain.quantization import fine_tuning
from keras_tinytrain.quantization.calibration import ranges
from keras_tinytrain.quantization.conversion import weights_of
from keras_tinytrain.quantization.scales import range_quantization

PACKAGES = "tensorflow_model_optimization", "tf_keras"
needs_tfmot = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, PACKAGES)),
    reason="needs tensorflow-model-optimization (pip install '.[tfmot]')",
)


class Start:
    """A prefix as post-training quantization leaves it.

    Args:
        net: The Keras model.
        images: What it meets.
        stop: First operation that stays float.
        wider: How many times as wide as needed ranges are.
    """

    def __init__(self, net, images, stop, wider=1.0):
        network = ktt.wrap(net).network
        graph = lower(network)
        self.quantizations = [
            range_quantization(wider * low, wider * high)
            for low, high in ranges(network, graph, images)
        ]
        self.weights = weights_of(network)
        self.arguments = network, graph, stop
        self.images = images

    def fine_tune(self):
        known = self.quantizations, self.weights, self.images
        return fine_tuning.fine_tune(*self.arguments, *known)


@needs_tfmot
@pytest.mark.parametrize("build", [build_net, build_mixed])
def test_without_a_rate_nothing_changes(build, monkeypatch):
    """There and back: scales, weights, their layouts."""
    monkeypatch.setattr(fine_tuning, "LEARNING_RATE", 0.0)
    monkeypatch.setattr(fine_tuning, "EPOCHS", 1)
    net = build()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(9, *net.input_shape[1:])).astype(np.float32)
    graph = lower(ktt.wrap(net).network)
    start = Start(net, images, len(graph.ops))
    tuned = start.fine_tune()
    assert len(tuned.losses) == 1
    # Rounding alone: the program computes what the network does.
    assert 0 < tuned.losses[0] < 1e-2
    assert start.quantizations == tuned.quantizations
    assert start.weights.keys() == tuned.weights.keys()
    for name, weights in start.weights.items():
        for part in ("kernel", "bias"):
            np.testing.assert_array_equal(
                getattr(tuned.weights[name], part), getattr(weights, part)
            )
    # This process still has Keras 3 alone.
    assert not {*PACKAGES} & {*sys.modules}
    assert "TF_USE_LEGACY_KERAS" not in os.environ


@needs_tfmot
def test_it_learns_to_round(monkeypatch):
    """From ranges eight times as wide, which cost three bits."""
    monkeypatch.setattr(fine_tuning, "LEARNING_RATE", 1e-3)
    monkeypatch.setattr(fine_tuning, "EPOCHS", 30)
    task = build_task(count=48)
    start = Start(build_net(norm=True), task.images, 5, wider=8.0)
    tuned = start.fine_tune()
    assert tuned.losses[-1] < tuned.losses[0] / 2
    pairs = zip(start.quantizations[:6], tuned.quantizations)
    assert all(after.scale < before.scale for before, after in pairs)
    # What stays float is as it was.
    assert tuned.quantizations[6:] == start.quantizations[6:]
    last = start.arguments[1].ops[-1].layer or "last"
    np.testing.assert_array_equal(
        tuned.weights[last].kernel, start.weights[last].kernel
    )


@needs_tfmot
def test_an_export_says_what_it_costs(tmp_path):
    task = build_task(count=24)
    result = ktt.export_micro(
        ktt.wrap(build_net(norm=True)),
        tmp_path,
        budget=ktt.Budget(8000, macs=16000),
        representative_data=task,
        quantize="qat",
    )
    assert list(result.accuracies) == ["float32", "ptq", "qat"]
    assert all(0.0 <= share <= 1.0 for share in result.accuracies.values())
    assert result.accuracies["float32"] > 0.5
    text = result.report.read_text()
    for name, share in result.accuracies.items():
        assert f"{name} {share:.1%}" in text
    assert result.tflite.stat().st_size > result.blob.stat().st_size


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    task = build_task()
    with pytest.raises(OSError, match=r"\[tfmot\].*Received: none"):
        ktt.quantization.quantize_prefix(
            ktt.wrap(build_net()), task, "last", fine_tunes=True
        )


def test_what_cannot_be_judged(tmp_path):
    model, task = ktt.wrap(build_net()), build_task(way=3, count=4)
    data = {"budget": ktt.Budget(8000, macs=16000), "quantize": "qat"}
    for images, reason in (
        (None, "labelled.*NoneType"),
        (task.images, "labelled.*ndarray"),
        (task, "two images of each class.*Received: 1 with label 1"),
    ):
        with pytest.raises(ValueError, match=reason):
            ktt.export_micro(
                model, tmp_path, representative_data=images, **data
            )
    with pytest.raises(ValueError, match=r"one of \('ptq', 'qat'\).*'int4'"):
        ktt.export_micro(model, tmp_path, quantize="int4")
    task = build_task()
    with pytest.raises(ValueError, match="int8 already"):
        ktt.export_micro(
            ktt.quantize(model, task),
            tmp_path,
            representative_data=task,
            **data,
        )
    assert not list(tmp_path.iterdir())
