"""A plan trains as the plain net does under TensorFlow's gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hand_training import HandTraining

import keras_tinytrain as ktt
from keras_tinytrain import heads


@pytest.mark.parametrize("head", heads.HEADS)
def test_a_plan_is_training_with_masked_gradients(
    head, net, make_plan, task, weights_of
):
    """Without momentum, a masked gradient of everything is as good."""
    channels, inputs = {"dw": [5]}, {"expand": [0, 3], "last": [1]}
    biases = ["dw", "last"]
    model = ktt.wrap(net, head=head)
    model.compile(keras.optimizers.SGD(0.05))
    plan = make_plan(model, channels, inputs=inputs, biases=biases)
    ktt.apply_plan(model, plan)
    model.fit(task, steps_per_epoch=4, views=0, verbose=0)

    hand = HandTraining(net, task, head)
    masks = [(hand.vectors, 1.0)]
    for name in ("stem", "expand", "dw", "project", "last"):
        layer = net.get_layer(name)
        kernel, bias = (np.zeros(w.shape, "float32") for w in layer.weights)
        if name in inputs:
            kernel[:, :, inputs[name]] = 1.0
        if name == "dw":
            kernel[:, :, channels[name]] = 1.0
        bias[:] = name in biases
        masks += [(layer.kernel.value, kernel), (layer.bias.value, bias)]
    variables = [variable for variable, _ in masks]
    for _ in range(4):
        with tf.GradientTape() as tape:
            loss, _ = hand.loss()
        gradients = tape.gradient(loss, variables)
        for (variable, mask), gradient in zip(masks, gradients):
            if gradient is not None:
                variable.assign_sub(0.05 * mask * gradient)
    hand.check_same(model, weights_of(model), atol=2e-6)


@pytest.mark.parametrize("head", heads.HEADS)
def test_a_full_plan_is_plain_training(head, net, task, weights_of):
    model = ktt.wrap(net, head=head)
    model.compile(keras.optimizers.Adam(1e-3))
    ktt.apply_plan(model, ktt.full_plan(ktt.layer_costs(model)))
    history = model.fit(task, epochs=5, steps_per_epoch=1, views=0, verbose=0)

    hand = HandTraining(net, task, head)
    variables = list(net.trainable_variables)
    if head == "linear":
        variables.append(hand.vectors)
    optimizer, losses = keras.optimizers.Adam(1e-3), []
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss, _ = hand.loss()
        optimizer.apply(tape.gradient(loss, variables), variables)
        losses.append(float(loss))

    # Adam divides by the root of the gradient's square: an entry whose
    # gradient nearly cancels out keeps a rounding error of 1e-7 in relative
    # size. A step moves a weight by at most 1e-3.
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-4)
    hand.check_same(model, weights_of(model), atol=2e-5)
