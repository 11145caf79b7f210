"""A wrapped model goes through a `.keras` file and comes back as it was."""

import copy

import keras
import numpy as np
import pytest

import keras_tinytrain as ktt
from keras_tinytrain import heads


def reload(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


def test_a_wrapped_model(make_net, task, tmp_path, weights_of):
    model = ktt.wrap(make_net(norm=True), head="prototype")
    loaded = reload(model, tmp_path)
    assert isinstance(loaded, ktt.AdaptiveModel)
    assert (loaded.head, loaded.plan, loaded.name) == ("prototype", None, "net")
    assert loaded.class_vectors is None
    assert loaded.trainable_variables == []
    np.testing.assert_array_equal(
        loaded.predict(task.images), model.predict(task.images)
    )
    for name, pair in weights_of(model).items():
        for old, new in zip(pair, weights_of(loaded)[name]):
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("head", heads.HEADS)
def test_an_adapted_model(head, make_net, task, make_task, tmp_path):
    model = ktt.wrap(make_net(norm=True), head=head)
    model.compile(keras.optimizers.AdamW(3e-3, weight_decay=0.02))
    callback = ktt.TaskAdaptiveSparse(ktt.Budget(macs=0.6))
    settings = {"steps_per_epoch": 3, "views": 0, "verbose": 0}
    model.fit(task, callbacks=[callback], **settings)
    loaded = reload(model, tmp_path)
    assert loaded.plan == model.plan
    assert loaded.plan.to_json() == model.plan.to_json()
    assert (loaded.head, loaded.name) == (head, "net")
    model_outputs, loaded_outputs = (
        m.predict(task.images) for m in (model, loaded)
    )
    np.testing.assert_allclose(loaded_outputs, model_outputs, atol=1e-6)
    np.testing.assert_array_equal(loaded(task.images), model(task.images))
    assert [v.shape for v in loaded.trainable_variables] == [
        v.shape for v in model.trainable_variables
    ]
    assert isinstance(loaded.optimizer, keras.optimizers.AdamW)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(3e-3)
    assert loaded.optimizer.weight_decay == pytest.approx(0.02)
    # It learns on, under its plan or another one, of another way.
    loaded.fit(task, **settings)
    assert loaded.plan == model.plan
    if head == "linear":
        loaded.fit(make_task(10, 5), callbacks=[callback], **settings)
        assert loaded.predict(task.images).shape == (12, 5)
    np.testing.assert_array_equal(
        ktt.unwrap(reload(model, tmp_path))(task.images),
        ktt.unwrap(model)(task.images),
    )


def test_a_plan_of_inputs_and_biases(make_net, make_plan, task, tmp_path):
    model = ktt.wrap(make_net(norm=True))
    parts = {"inputs": {"last": [0, 2]}, "biases": ["dw", "last"]}
    plan = make_plan(model, {"expand": [1, 5]}, **parts)
    ktt.apply_plan(model, plan)
    settings = {"steps_per_epoch": 3, "views": 0, "verbose": 0}
    model.fit(task, **settings)
    loaded = reload(model, tmp_path)
    assert loaded.plan == plan
    np.testing.assert_array_equal(loaded(task.images), model(task.images))
    for name, layer in model.network.layers.items():
        other = loaded.network.layers[name]
        for mask in ("mask", "input_mask", "bias_mask"):
            expected = getattr(layer, mask).tolist()
            assert getattr(other, mask).tolist() == expected
    assert [v.shape for v in loaded.trainable_variables] == [
        v.shape for v in model.trainable_variables
    ]
    np.testing.assert_array_equal(
        ktt.unwrap(loaded)(task.images), ktt.unwrap(model)(task.images)
    )
    loaded.fit(task, **settings)


def test_weights_alone(net, task, make_plan, tmp_path):
    models = []
    for _ in range(2):
        model = ktt.wrap(net)
        ktt.apply_plan(model, make_plan(model, {"last": [1, 4]}))
        model.set_class_vectors(np.zeros((3, 5 * 6), "float32"))
        models.append(model)
    first, second = models
    first.fit(task, steps_per_epoch=2, views=0, verbose=0)
    first.save_weights(tmp_path / "slices.weights.h5")
    second.load_weights(tmp_path / "slices.weights.h5")
    np.testing.assert_array_equal(second(task.images), first(task.images))


def test_config_round_trip(net, task):
    model = ktt.wrap(net, head="prototype")
    ktt.apply_plan(model, ktt.last_layer_plan(ktt.layer_costs(model)))
    model.fit(task, steps_per_epoch=1, views=0, verbose=0)
    config = model.get_config()
    # Keras empties the dictionary that it reads.
    again = ktt.AdaptiveModel.from_config(copy.deepcopy(config))
    assert again.get_config() == config
    assert again.plan == model.plan
    assert again.class_vectors.shape == (3, 6)
    assert again.class_vectors.trainable is False


def test_a_summary_can_be_printed(net, capsys):
    model = ktt.wrap(net)
    model.summary()
    assert "net" in capsys.readouterr().out
    assert model.count_params() == net.count_params()
