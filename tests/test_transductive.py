"""Query images without labels in the loss."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from evaluation_sources import save_images
from hand_training import HandTraining

import keras_tinytrain as ktt
from keras_tinytrain import heads
from keras_tinytrain.evaluation import Protocol, worker
from keras_tinytrain.evaluation.protocol import Data, Job, Net
from keras_tinytrain.methods import PlanLearner
from keras_tinytrain.trainer import Trainer
from keras_tinytrain.training import QUERY_BATCH

QUICK = {"steps_per_epoch": 3, "views": 1, "verbose": 0}


@pytest.fixture
def make_model(net):
    """Wraps the net under a plan of everything, or of a part."""

    def make(head="linear", first=None):
        model = ktt.wrap(net, head=head)
        plan = ktt.full_plan(ktt.layer_costs(model))
        if first:
            costs = ktt.layer_costs(model)
            plan = ktt.selection.make_plan({first: [0, 2]}, costs, "test")
        ktt.apply_plan(model, plan)
        return model

    return make


def fit(model, task, **settings):
    return model.fit(task, **QUICK | settings).history


@pytest.mark.parametrize("head", heads.HEADS)
def test_it_is_training_by_hand(head, net, make_model, make_task, weights_of):
    """Cross-entropy, and entropy as a share of ln 3, by plain gradients."""
    task, query = make_task(12, way=3), make_task(9, way=3, seed=1).images
    model = make_model(head)
    model.compile(keras.optimizers.SGD(0.05))
    settings = {"epochs": 4, "steps_per_epoch": 1, "views": 0}
    history = fit(model, task, query_images=query, **settings)

    hand = HandTraining(net, task, head)
    variables = [*net.trainable_variables, hand.vectors]
    losses, entropies = [], []
    for _ in range(4):
        with tf.GradientTape() as tape:
            loss, classes = hand.loss()
            logits = heads.cosine_logits(hand.embed(query), classes)
            shares = tf.nn.softmax(logits)
            entropy = -tf.reduce_sum(shares * tf.math.log(shares), axis=-1)
            entropy = tf.reduce_mean(entropy) / math.log(3)
            loss += entropy
        losses.append(float(loss))
        entropies.append(float(entropy))
        gradients = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients):
            if gradient is not None:
                variable.assign_sub(0.05 * gradient)

    np.testing.assert_allclose(history["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(history["entropy"], entropies, rtol=1e-5)
    assert entropies[-1] < entropies[0]
    hand.check_same(model, weights_of(model), atol=2e-6)


def test_cached_training_is_uncached_training(make_model, make_task):
    """Query images go through the prefix once as well."""
    task, query = make_task(12), make_task(9, seed=1).images
    results = []
    for first in (None, "stem"):
        model = make_model(first="last")
        model.first_candidate = first
        history = fit(model, task, query_images=query)
        results.append((model.predict(query), history["entropy"]))
    (cached, entropy), (uncached, other_entropy) = results
    np.testing.assert_allclose(cached, uncached, atol=1e-4)
    np.testing.assert_allclose(entropy, other_entropy, rtol=1e-4)


def count_traces(model):
    """Traces of the two compiled steps, and of the window's functions."""
    (trainer,) = model._trainers.values()
    (window,) = model._windows.values()
    return {
        name: value.experimental_get_tracing_count()
        for holder in (trainer, window)
        for name, value in vars(holder).items()
        if name.startswith("_compiled")
    }


def test_without_query_images_nothing_is_traced_for_them(make_model, task):
    model = make_model()
    history = fit(model, task)
    assert set(history) == {"accuracy", "loss"}
    assert count_traces(model)["_compiled_step"] == 1
    assert count_traces(model)["_compiled_transductive_step"] == 0


def test_other_tasks_trace_nothing_anew(make_model, make_task):
    """Another way, and more or fewer query images."""
    model = make_model()
    fit(model, make_task(12, 3), query_images=make_task(9, 3).images)
    traces = count_traces(model)
    assert traces["_compiled_step"] == 0
    assert traces["_compiled_transductive_step"] == 1
    for way, count in ((5, 20), (2, QUERY_BATCH + 3)):
        query = make_task(count, way, seed=count).images
        fit(model, make_task(15, way), query_images=query)
        assert count_traces(model) == traces


def test_query_images_change_what_is_learned(make_model, make_task):
    task, query = make_task(12), make_task(9, seed=1).images
    model, results = make_model(), []
    for images in (None, query, query, -query):
        ktt.apply_plan(model, model.plan)
        fit(model, task, query_images=images)
        results.append(model.predict(task.images))
    without, with_, again, others = results
    np.testing.assert_array_equal(with_, again)
    assert (with_ != without).any()
    assert (with_ != others).any()


@pytest.mark.parametrize("count", [QUERY_BATCH, QUERY_BATCH + 1, 500])
def test_a_step_takes_a_few_of_many_query_images(
    count, make_model, make_task, monkeypatch
):
    """All of them if they are few; else some, without doubles, that change."""
    query = make_task(count, seed=1).images
    model, drawn = make_model(first="project"), []
    step = Trainer.step

    def spy(self, clean, view, labels, unlabelled):
        drawn.append([row.tobytes() for row in unlabelled[0].numpy()])
        return step(self, clean, view, labels, unlabelled)

    monkeypatch.setattr(Trainer, "step", spy)
    fit(model, make_task(12), query_images=query)
    every = model.training_window().prefix(query)[0].numpy()
    every = {row.tobytes() for row in every}
    assert len(every) == count
    assert len(drawn) == 3
    for rows in drawn:
        assert len(rows) == len(set(rows)) == QUERY_BATCH
        assert set(rows) <= every
    assert (drawn[0] == drawn[1]) == (count == QUERY_BATCH)


def test_the_rate_follows_the_cross_entropy_alone(make_model, make_task):
    """Like for like: entropy in the loss does not raise the rate."""
    task, rates = make_task(12), []
    for query in (None, make_task(9, seed=1).images):
        model = make_model()
        fit(model, task, query_images=query, steps_per_epoch=1)
        (trainer,) = model._trainers.values()
        rates.append(float(trainer.optimizer.learning_rate))
    assert rates[0] == pytest.approx(rates[1], rel=1e-4)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((0, 16, 16, 3)), "at least one.*0 images"),
        (np.zeros((4, 16, 16)), r"\(n, height, width, channels\)"),
        (np.zeros((4, 16, 16, 1)), "3 channels"),
        (np.zeros((4, 8, 16, 3)), r"shape \(16, 16, 3\)"),
        (np.full((4, 16, 16, 3), np.nan), "finite numbers"),
    ],
)
def test_bad_query_images_are_refused(images, words, make_model, task):
    model = make_model()
    before = [w.numpy() for w in model.weights]
    with pytest.raises(ValueError, match=f"Expected .*{words}"):
        fit(model, task, query_images=images)
    for old, new in zip(before, model.weights):
        np.testing.assert_array_equal(old, new)


def test_query_labels_change_no_prediction(net, tmp_path, monkeypatch):
    """An evaluation with wrong labels predicts the same, to the bit."""
    net.save(tmp_path / "net.keras")
    images = save_images(tmp_path / "images")
    job = Job(
        Net("net", "none", str(tmp_path / "net.keras")),
        Data("images", images),
        "transductive",
        seed=0,
        episode=0,
    )
    accuracies, predictions = [], []
    predict, sample = PlanLearner.predict, worker.sample_episode

    def spy(learner, images):
        predictions.append(predict(learner, images))
        return predictions[-1]

    def mislabel(*args, **settings):
        episode = sample(*args, **settings)
        wrong = (episode.query.labels + 1) % episode.query.way
        query = ktt.Examples(episode.query.images, wrong)
        return dataclasses.replace(episode, query=query)

    monkeypatch.setattr(PlanLearner, "predict", spy)
    protocol = Protocol(image_size=16, steps=3, way=5, shot=2, query=3)
    for draw in (sample, mislabel):
        monkeypatch.setattr(worker, "sample_episode", draw)
        record = worker.Worker(protocol).run(job)
        accuracies.append(record["accuracy"])
    np.testing.assert_array_equal(*predictions)
    assert accuracies[0] > accuracies[1]


def test_the_method_needs_query_images(net, task):
    learner = ktt.methods.build("transductive", net, steps=2)
    with pytest.raises(ValueError, match="Expected query images"):
        learner.learn(task)
