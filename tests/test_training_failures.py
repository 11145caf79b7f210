"""A `fit` that fails says why, and leaves the weights as they were."""

import keras
import numpy as np
import pytest

import keras_tinytrain as ktt

QUICK = {"steps_per_epoch": 3, "views": 0, "verbose": 0}


@pytest.fixture(params=["prototype", "linear"])
def model(request, net, make_plan, task):
    """A model that has learned a little."""
    model = ktt.wrap(net, head=request.param)
    ktt.apply_plan(model, make_plan(model, {"last": [0, 2, 5]}))
    model.fit(task, **QUICK)
    return model


linear_head = pytest.mark.parametrize("model", ["linear"], indirect=True)


@pytest.fixture
def fresh(net):
    return ktt.wrap(net)


def state(model):
    return [(w.path, w.numpy()) for w in model.weights]


def assert_untouched(model, before, plan):
    assert len(before) == len(model.weights)
    for (path, old), weight in zip(before, model.weights):
        assert weight.path == path
        np.testing.assert_array_equal(old, weight.numpy())
    assert model.plan is plan
    assert model.support is None


def bad_images(value):
    images = np.ones((4, 16, 16, 3), "float32")
    images[2, 3, 4, 1] = value
    return images


GOOD = np.zeros((4, 16, 16, 3), "float32")


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (GOOD, [0, 0, 0, 0], "2 classes. .*only the label 0"),
        (GOOD[:0], np.zeros(0, int), "at least one. .*0 images"),
        (GOOD, [0, 1, 3, 1], "0 to way - 1.*labels 0, 1, 3"),
        (GOOD, [-1, 0, 1, 1], "0 to way - 1.*labels -1, 0, 1"),
        (GOOD, [0.0, 1.0, 0.0, 1.0], "integers.*float64"),
        (GOOD, [[0], [1], [0], [1]], r"labels.shape=\(4, 1\)"),
        (GOOD, [0, 1, 0], "4 images and 3 labels"),
        (bad_images(np.nan), [0, 1, 0, 1], "finite.*first at index 2"),
        (bad_images(np.inf), [0, 1, 0, 1], "finite.*first at index 2"),
        (GOOD[..., :1], [0, 1, 0, 1], r"3 channels.*\(4, 16, 16, 1\)"),
        (GOOD[:, :8], [0, 1, 0, 1], r"shape \(16, 16, 3\).*\(8, 16, 3\)"),
        (GOOD[0], [0, 1], r"images.shape=\(16, 16, 3\)"),
        (GOOD, None, "without labels"),
    ],
)
def test_bad_support_sets_are_refused(fresh, images, labels, words):
    before = state(fresh)
    labels = labels if labels is None else np.array(labels)
    callback = ktt.TaskAdaptiveSparse(ktt.Budget())
    with pytest.raises(
        ValueError, match=f"Expected .*Received.*{words}|{words}"
    ):
        fresh.fit(images, labels, callbacks=[callback], **QUICK)
    assert_untouched(fresh, before, None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs to be an integer from 1. Received: epochs=0"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"steps_per_epoch": -1}, "steps_per_epoch=-1"),
        ({"views": -1}, "views=-1"),
        ({"views": None}, "views=None"),
        ({"validation_data": (GOOD, np.array([0, 1, 2, 3]))}, "from 0 to 2"),
        (
            {"validation_data": (GOOD[..., :1], np.array([0, 1, 2, 0]))},
            "3 channels",
        ),
    ],
)
def test_bad_settings_are_refused(fresh, task, settings, words):
    plan = ktt.last_layer_plan(ktt.layer_costs(fresh))
    ktt.apply_plan(fresh, plan)
    before = state(fresh)
    with pytest.raises(ValueError, match=words):
        fresh.fit(task, **QUICK | settings)
    assert_untouched(fresh, before, plan)


def test_without_a_plan_it_is_refused(fresh, task):
    before = state(fresh)
    words = r"Received: none. Add the callback TaskAdaptiveSparse\(budget\)"
    with pytest.raises(ValueError, match=words):
        fresh.fit(task, **QUICK)
    assert_untouched(fresh, before, None)


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_loss_that_is_not_finite(model, task, epochs):
    """In the first epoch, or after some that went well."""
    before, plan = state(model), model.plan
    model.compile(keras.optimizers.Adam(1e-3))
    schedule = keras.callbacks.LearningRateScheduler(
        lambda epoch, _: 1e38 if epoch == epochs - 1 else 1e-3
    )
    with pytest.raises(ValueError, match=r"finite loss.*lower learning rate"):
        model.fit(task, epochs=epochs, callbacks=[schedule], **QUICK)
    assert_untouched(model, before, plan)


def test_a_last_step_that_is_not_finite(model, task):
    """The loss of the only step is fine, what it leads to is not."""
    before, plan = state(model), model.plan
    huge = keras.callbacks.LearningRateScheduler(lambda *_: float("inf"))
    settings = QUICK | {"steps_per_epoch": 1, "callbacks": [huge]}
    with pytest.raises(ValueError, match="finite sum of trained weights"):
        model.fit(task, **settings)
    assert_untouched(model, before, plan)


def test_after_a_failure_it_can_be_fitted_again(model, task):
    """Nothing of the failed fit stays in the optimizer."""
    model.compile(keras.optimizers.Adam(1e-3))
    huge = keras.callbacks.LearningRateScheduler(lambda *_: 1e38)
    with pytest.raises(ValueError, match="finite loss"):
        model.fit(task, callbacks=[huge], **QUICK)
    history = model.fit(task, epochs=3, **QUICK)
    assert np.isfinite(history.history["loss"]).all()


class Interrupt(keras.callbacks.Callback):
    def __init__(self, hook):
        super().__init__()
        setattr(self, hook, self.raise_it)

    def raise_it(self, *_, **__):
        raise KeyboardInterrupt


@linear_head
@pytest.mark.parametrize(
    "hook",
    [
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_begin",
        "on_train_batch_end",
    ],
)
def test_an_interrupt_leaves_the_weights(model, task, hook):
    before, plan = state(model), model.plan
    optimizer = model.optimizer
    with pytest.raises(KeyboardInterrupt):
        model.fit(task, callbacks=[Interrupt(hook)], **QUICK)
    assert_untouched(model, before, plan)
    assert model.optimizer is optimizer
    model.fit(task, **QUICK)


def test_a_failure_under_a_new_plan_restores_the_old(model, task):
    """What was learned before is not lost."""
    before, plan = state(model), model.plan
    expected = model.predict(task.images)
    new = ktt.full_plan(ktt.layer_costs(model))
    callbacks = [ktt.StaticSparse(new), Interrupt("on_epoch_end")]
    with pytest.raises(KeyboardInterrupt):
        model.fit(task, callbacks=callbacks, **QUICK)
    assert_untouched(model, before, plan)
    np.testing.assert_allclose(model.predict(task.images), expected, rtol=1e-5)


def test_inputs_and_biases_are_restored(model, task, make_plan):
    parts = {"inputs": {"last": [1, 3]}, "biases": ["dw", "last"]}
    plan = make_plan(model, {"expand": [0]}, **parts)
    ktt.apply_plan(model, plan)
    model.fit(task, **QUICK)
    before = state(model)
    other = ktt.last_layer_plan(ktt.layer_costs(model))
    callbacks = [ktt.StaticSparse(other), Interrupt("on_epoch_end")]
    with pytest.raises(KeyboardInterrupt):
        model.fit(task, callbacks=callbacks, **QUICK)
    assert_untouched(model, before, plan)
    last = model.network.layers["last"]
    assert last.input_mask.tolist() == [0, 1, 0, 1]
    assert last.bias_mask.tolist() == [1] * 6
    model.fit(task, **QUICK)


def test_a_failure_before_any_plan_leaves_none(fresh, task):
    before = state(fresh)
    callbacks = [ktt.TaskAdaptiveSparse(ktt.Budget(macs=0.5))]
    callbacks.append(Interrupt("on_epoch_end"))
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(task, callbacks=callbacks, **QUICK)
    assert_untouched(fresh, before, None)
    assert fresh.class_vectors is None
