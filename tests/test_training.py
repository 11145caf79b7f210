"""`fit` composes with Keras, and leaves the model alone when it fails."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tinytrain as ktt
from keras_tinytrain.training import learning_rate

QUICK = {"steps_per_epoch": 2, "views": 0, "verbose": 0}


@pytest.fixture
def model(net, make_plan):
    model = ktt.wrap(net)
    ktt.apply_plan(model, make_plan(model, {"last": [0, 2, 5]}))
    return model


class Recorder(keras.callbacks.Callback):
    """Notes its calls, and does something in one of them."""

    def __init__(self, at=None, action=None):
        super().__init__()
        self.calls, self.logs = [], []
        self.at, self.action = at, action

    def note(self, name, logs=None):
        self.calls.append(name)
        self.logs.append(dict(logs or {}))
        if name == self.at:
            self.action(self.model)

    def on_train_begin(self, logs=None):
        self.note("train_begin", logs)

    def on_train_end(self, logs=None):
        self.note("train_end", logs)

    def on_epoch_begin(self, epoch, logs=None):
        self.note(f"epoch_begin {epoch}", logs)

    def on_epoch_end(self, epoch, logs=None):
        self.note(f"epoch_end {epoch}", logs)

    def on_train_batch_begin(self, batch, logs=None):
        self.note(f"batch_begin {batch}", logs)

    def on_train_batch_end(self, batch, logs=None):
        self.note(f"batch_end {batch}", logs)


class TestKeras:
    def test_history(self, model, task):
        history = model.fit(task, epochs=3, **QUICK)
        assert isinstance(history, keras.callbacks.History)
        assert history is model.history
        assert history.epoch == [0, 1, 2]
        assert sorted(history.history) == ["accuracy", "loss"]
        loss, accuracy = history.history["loss"], history.history["accuracy"]
        assert len(loss) == len(accuracy) == 3
        assert loss[2] < loss[0]
        assert all(0.0 <= a <= 1.0 for a in accuracy)

    def test_history_is_that_of_the_last_fit(self, model, task):
        model.fit(task, epochs=3, **QUICK)
        assert model.fit(task, epochs=1, **QUICK).epoch == [0]

    def test_calls_come_in_order(self, model, task):
        recorder = Recorder()
        model.fit(task, epochs=2, callbacks=[recorder], **QUICK)
        epoch = ["batch_begin 0", "batch_end 0", "batch_begin 1", "batch_end 1"]
        assert recorder.calls == [
            "train_begin",
            "epoch_begin 0",
            *epoch,
            "epoch_end 0",
            "epoch_begin 1",
            *epoch,
            "epoch_end 1",
            "train_end",
        ]
        assert sorted(recorder.logs[3]) == ["accuracy", "loss"]
        assert recorder.params["epochs"] == 2
        assert recorder.params["steps"] == 2
        assert recorder.model is model

    def test_progress_is_shown_when_asked_for(self, model, task, capsys):
        model.fit(task, **QUICK)
        assert capsys.readouterr().out == ""
        model.fit(task, **QUICK | {"verbose": 2})
        assert "loss" in capsys.readouterr().out
        model.fit(task, **QUICK | {"verbose": 1})
        assert "2/2" in capsys.readouterr().out

    @pytest.mark.parametrize("at", ["batch_end 0", "epoch_end 0"])
    def test_a_callback_may_stop_training(self, model, task, at):
        def stop(model):
            model.stop_training = True

        recorder = Recorder(at, stop)
        history = model.fit(task, epochs=3, callbacks=[recorder], **QUICK)
        assert history.epoch == [0]
        assert ("batch_end 1" in recorder.calls) == (at == "epoch_end 0")
        assert recorder.calls[-1] == "train_end"
        assert model.fit(task, epochs=2, **QUICK).epoch == [0, 1]

    def test_early_stopping_restores_the_best(self, model, task):
        """Ever larger steps; the first epoch is the best."""
        model.compile(keras.optimizers.SGD(1e-3))
        after = []
        stopping = keras.callbacks.EarlyStopping(
            "loss", patience=1, restore_best_weights=True
        )
        rates = keras.callbacks.LearningRateScheduler(
            lambda epoch, _: 1e-3 * 1e5**epoch
        )
        note = Recorder("epoch_end 0", lambda m: after.append(m.get_weights()))
        history = model.fit(
            task, epochs=9, callbacks=[rates, note, stopping], **QUICK
        )
        losses = history.history["loss"]
        assert len(losses) < 9
        best = int(np.argmin(losses))
        if best == 0:
            for old, new in zip(after[0], model.get_weights()):
                np.testing.assert_array_equal(old, new)
        assert losses[-1] >= losses[best]

    def test_a_schedule_takes_effect(self, model, task, weights_of):
        model.compile(keras.optimizers.SGD(0.1))
        before = weights_of(model)
        schedule = keras.callbacks.LearningRateScheduler(lambda *_: 0.0)
        history = model.fit(task, callbacks=[schedule], **QUICK)
        assert history.history["learning_rate"] == [0.0]
        for name, pair in weights_of(model).items():
            np.testing.assert_array_equal(pair[0], before[name][0])
            np.testing.assert_array_equal(pair[1], before[name][1])
        assert float(model.optimizer.learning_rate) == pytest.approx(0.1)

    def test_an_optimizer_may_carry_its_schedule(self, model, task):
        decay = keras.optimizers.schedules.PiecewiseConstantDecay(
            [0], [0.1, 0.0]
        )
        model.compile(keras.optimizers.SGD(decay))
        states = []
        note = Recorder("epoch_end 0", lambda m: states.append(m.get_weights()))
        model.fit(task, epochs=2, callbacks=[note], **QUICK)
        for old, new in zip(states[0], model.get_weights()):
            np.testing.assert_allclose(old, new, atol=1e-6)

    @pytest.mark.parametrize("form", ["examples", "tuple", "dataset"])
    def test_validation_data(self, model, task, make_task, form):
        query = make_task(count=6)
        arrays = query.images, query.labels
        data = {
            "examples": query,
            "tuple": arrays,
            "dataset": tf.data.Dataset.from_tensor_slices(arrays).batch(4),
        }[form]
        history = model.fit(task, epochs=2, validation_data=data, **QUICK)
        assert sorted(history.history) == [
            "accuracy",
            "loss",
            "val_accuracy",
            "val_loss",
        ]
        loss, accuracy = model.evaluate(query, verbose=0)
        assert history.history["val_loss"][1] == pytest.approx(loss)
        assert history.history["val_accuracy"][1] == pytest.approx(accuracy)

    def test_arrays_and_datasets_are_read_alike(self, net, task, make_plan):
        dataset = tf.data.Dataset.from_tensor_slices((task.images, task.labels))
        found = []
        for data in ((task,), (task.images, task.labels), (dataset.batch(5),)):
            model = ktt.wrap(net)
            ktt.apply_plan(model, make_plan(model, {"last": [1]}))
            found.append(model.fit(*data, **QUICK).history["loss"])
            assert len(model.evaluate(*data, verbose=0)) == 2
        assert found[0] == found[1] == found[2]

    def test_a_function_does_it_too(self, model, task):
        history = ktt.fit(model, task, **QUICK)
        assert history.epoch == [0]

    def test_training_goes_on_where_it_ended(self, net, task, make_plan):
        """Two fits of one epoch are one fit of two."""
        losses = []
        for epochs in ([2], [1, 1]):
            model = ktt.wrap(net)
            ktt.apply_plan(model, make_plan(model, {"last": [0, 1]}))
            for count in epochs:
                history = model.fit(task, epochs=count, **QUICK)
            losses.append(history.history["loss"][-1])
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


class TestLearningRate:
    def test_by_hand(self):
        """Chance: 3e-3. Half the loss: a quarter. A hundredth trains: ten."""
        chance = np.log(5.0)
        assert learning_rate(chance, 5, 1.0) == pytest.approx(3e-3)
        assert learning_rate(chance / 2, 5, 1.0) == pytest.approx(7.5e-4)
        assert learning_rate(chance / 2, 5, 0.01) == pytest.approx(7.5e-3)
        assert learning_rate(chance, 5, 0.01) == 1e-2

    def rates(self, model, task):
        found = []
        look = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: found.append(
                (float(model.optimizer.learning_rate), logs["loss"])
            )
        )
        model.fit(task, callbacks=[look], **QUICK)
        return found

    def test_the_first_step_finds_it(self, model, task):
        (first, loss), (second, _) = self.rates(model, task)
        costs = ktt.layer_costs(model)
        share = model.plan.trained_weights / sum(c.weights for c in costs)
        assert first == second
        assert first == pytest.approx(learning_rate(loss, 3, share))

    def test_training_goes_on_with_it(self, model, task):
        before = self.rates(model, task)[0][0]
        assert {rate for rate, _ in self.rates(model, task)} == {before}

    def test_an_optimizer_of_the_users_keeps_its_own(self, model, task):
        model.compile(keras.optimizers.Adam(3e-4))
        for rate, _ in self.rates(model, task):
            assert rate == pytest.approx(3e-4)
