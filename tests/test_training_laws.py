"""Laws 2, 3, 6 and 10: what training changes, and that nothing else does."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tinytrain as ktt
from keras_tinytrain import heads

OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(1e-2),
    "adamw": lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.1),
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-2, momentum=0.5),
    "lion": lambda: keras.optimizers.Lion(1e-3, weight_decay=0.1),
}
FIRST = {"expand": [0, 3, 7], "dw": [5], "last": [1, 2]}
SECOND = {"project": [0, 2], "last": [2, 4]}
# Plans of output channels, and plans of inputs and biases beside them.
CHANNELS = (
    {"channels": FIRST},
    {"channels": SECOND},
    {"channels": {"stem": [3], "expand": [1]}},
)
MIXED = (
    {
        "channels": {"dw": [5]},
        "inputs": {"expand": [0, 3], "last": [1]},
        "biases": ["dw", "last"],
    },
    {
        "channels": {"project": [0, 2]},
        "inputs": {"expand": [1, 2], "last": [0, 1, 2]},
        "biases": ["expand", "project"],
    },
    {"channels": {}, "inputs": {}, "biases": ["stem", "project"]},
)


def fit(model, task, **settings):
    settings = {"steps_per_epoch": 3, "views": 1, "verbose": 0} | settings
    return model.fit(task, **settings)


def check_only_these_changed(before, after, channels, inputs=(), biases=()):
    """Every channel that trains has moved, and no bit of anything else."""
    inputs = dict(inputs)
    for name, (kernel, bias) in before.items():
        kernel_trains = np.zeros(kernel.shape, bool)
        bias_trains = np.full(bias.shape, name in biases)
        chosen = list(channels.get(name, ()))
        kernel_trains[..., chosen] = bias_trains[chosen] = True
        if name in inputs:
            kernel_trains[..., inputs[name], :] = True
        for old, new, trains in zip(
            (kernel, bias), after[name], (kernel_trains, bias_trains)
        ):
            np.testing.assert_array_equal(old[~trains], new[~trains])
            # Some entry of each: those behind a dead channel have no gradient.
            for axis in (-1, -2)[: old.ndim]:
                rows = np.moveaxis(trains, axis, 0).reshape(old.shape[axis], -1)
                moved = np.moveaxis(old != new, axis, 0).reshape(rows.shape)
                full = rows.all(axis=1)
                assert moved[full].any(axis=1).all(), name


@pytest.mark.parametrize("plans", [CHANNELS, MIXED], ids=["channels", "mixed"])
@pytest.mark.parametrize(
    ("optimizer", "norm"),
    [*((name, False) for name in OPTIMIZERS), ("adamw", True)],
)
def test_what_does_not_train_is_bit_equal(
    optimizer, norm, plans, make_net, make_plan, task, weights_of
):
    model = ktt.wrap(make_net(norm))
    model.compile(OPTIMIZERS[optimizer]())
    source = [w.numpy() for w in model.source.weights]
    before = weights_of(model)
    for parts in plans:
        ktt.apply_plan(model, make_plan(model, **parts))
        if not norm:  # One window for all plans, which is compiled once.
            model.first_candidate = "stem"
        fit(model, task, epochs=2)
        check_only_these_changed(before, weights_of(model), **parts)
    for old, new in zip(source, model.source.weights):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("norm", [False, True])
def test_unwrapped_it_is_what_was_learned(
    norm, make_net, make_plan, task, weights_of
):
    model = ktt.wrap(make_net(norm))
    ktt.apply_plan(model, make_plan(model, **MIXED[0]))
    fit(model, task)
    plain = ktt.unwrap(model)
    again = ktt.wrap(plain)
    np.testing.assert_allclose(
        again.embed(task.images), model.embed(task.images), atol=1e-5
    )
    for old, new in zip(make_net(norm).weights, plain.weights):
        if old.path.startswith(("stem", "project")):
            np.testing.assert_array_equal(old, new)
    if not norm:  # There is nothing to fold, so nothing is rounded.
        before = weights_of(ktt.wrap(make_net()))
        check_only_these_changed(before, weights_of(again), **MIXED[0])


def test_all_inputs_are_all_channels(net, make_plan, task, weights_of):
    """Two routes to training a whole layer."""
    results = []
    for parts in (
        {"channels": {"last": range(6)}},
        {"channels": {}, "inputs": {"last": range(4)}, "biases": ["last"]},
    ):
        model = ktt.wrap(net)
        ktt.apply_plan(model, make_plan(model, **parts))
        fit(model, task)
        results.append(weights_of(model)["last"])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_a_new_plan_starts_a_new_optimizer(net, make_plan, task, weights_of):
    """What an earlier plan gathered in the slots moves nothing later."""
    results = []
    for earlier in (None, FIRST):
        model = ktt.wrap(net)
        model.compile(OPTIMIZERS["sgd"]())
        for plan in [earlier, SECOND] if earlier else [SECOND]:
            ktt.apply_plan(model, make_plan(model, plan))
            model.first_candidate = "stem"  # One window, one vector.
            fit(model, task)
        results.append(weights_of(model))
    for name, (kernel, bias) in results[0].items():
        np.testing.assert_array_equal(kernel, results[1][name][0])
        np.testing.assert_array_equal(bias, results[1][name][1])


@pytest.mark.parametrize("head", heads.HEADS)
def test_a_loop_of_the_users_own_moves_the_slices_alone(
    head, make_net, make_plan, task, weights_of
):
    """AdamW over `trainable_variables`, as with any Keras model."""
    model = ktt.wrap(make_net(norm=True), head=head)
    ktt.apply_plan(model, make_plan(model, FIRST))
    fit(model, task, steps_per_epoch=0)
    before = weights_of(model)
    optimizer = OPTIMIZERS["adamw"]()
    shapes = [v.shape for v in model.trainable_variables]
    slices = [(1, 1, 4, 3), (3,), (3, 3, 1), (1,), (3, 3, 4, 2), (2,)]
    assert shapes == ([(3, 30)] if head == "linear" else []) + slices
    for _ in range(3):
        with tf.GradientTape() as tape:
            logits = model(task.images, training=True)
            loss = tf.reduce_mean(heads.cross_entropy(task.labels, logits))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
    check_only_these_changed(before, weights_of(model), FIRST)


@pytest.mark.parametrize("head", heads.HEADS)
def test_an_empty_plan_changes_no_bit(head, net, make_plan, task, weights_of):
    model = ktt.wrap(net, head=head)
    before, embeddings = weights_of(model), model.embed(task.images).numpy()
    ktt.apply_plan(model, make_plan(model, {}))
    assert model.plan.layers == ()
    fit(model, task)
    check_only_these_changed(before, weights_of(model), {})
    np.testing.assert_array_equal(model.embed(task.images), embeddings)


@pytest.mark.parametrize(
    "parts",
    [
        {"channels": {"project": [1, 2]}},
        {"channels": {"last": [0, 5]}},
        {
            "channels": {},
            "inputs": {"last": [0, 3]},
            "biases": ["dw", "last"],
        },
    ],
)
def test_cached_training_is_uncached_training(
    parts, net, make_plan, task, weights_of
):
    """The window begins at the first trained layer, or runs it all."""
    results = []
    for first in (None, "stem"):
        model = ktt.wrap(net)
        ktt.apply_plan(model, make_plan(model, **parts))
        model.first_candidate = first
        history = fit(model, task, steps_per_epoch=8, views=2, seed=3)
        results.append((weights_of(model), history.history["loss"]))
    (cached, loss), (uncached, other_loss) = results
    np.testing.assert_allclose(loss, other_loss, rtol=1e-5)
    for name, (kernel, bias) in cached.items():
        # The same numbers, compiled in other pieces, and then Adam.
        np.testing.assert_allclose(kernel, uncached[name][0], atol=1e-5)
        np.testing.assert_allclose(bias, uncached[name][1], atol=1e-5)


def test_the_same_seed_gives_the_same_weights(net, task, weights_of):
    model, results = ktt.wrap(net), []
    callback = ktt.TaskAdaptiveSparse(ktt.Budget(macs=0.5))
    for seed in (7, 7, 8):
        fit(model, task, views=2, seed=seed, callbacks=[callback])
        results.append((model.plan.to_json(), weights_of(model)))
    (plan, weights), (again, weights_again), (_, others) = results
    assert plan == again
    for name, pair in weights.items():
        np.testing.assert_array_equal(pair[0], weights_again[name][0])
        np.testing.assert_array_equal(pair[1], weights_again[name][1])
    assert (weights["last"][0] != others["last"][0]).any()


PROGRAM = """
from small_nets import build_net, build_task
import keras_tinytrain as ktt
model = ktt.wrap(build_net())
callback = ktt.TaskAdaptiveSparse(ktt.Budget(memory=9000, macs=0.5))
model.fit(build_task(), callbacks=[callback], steps_per_epoch=1, verbose=0)
plan = model.plan.to_json()
"""


def test_the_same_seed_gives_the_same_plan_in_another_process():
    here = {}
    exec(PROGRAM, here)
    tests = Path(__file__).parent
    path = [str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")]
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM + "print(plan, end='')"],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        text=True,
    )
    assert there.stdout == here["plan"]
    assert '"channels": [' in here["plan"]
