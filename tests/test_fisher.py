import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain import heads

# Sums of float32 products in another order, squared.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-9}


def run_by_hand(x, kernels, biases):
    """The net of conftest in plain ops, with its linear outputs."""
    a = {}

    def conv(name, x, stride, padding):
        y = tf.nn.conv2d(x, kernels[name], stride, padding)
        a[name] = y + biases[name]
        return a[name]

    x = tf.nn.relu6(conv("stem", x, 2, "SAME"))
    y = tf.nn.relu(conv("expand", x, 1, "SAME"))
    y = tf.nn.depthwise_conv2d(y, kernels["dw"], (1, 1, 1, 1), "SAME")
    a["dw"] = y + biases["dw"]
    x += conv("project", tf.nn.relu(a["dw"]), 1, "SAME")
    return tf.nn.relu(conv("last", x, 2, "VALID")), a


def per_example(net, task, pool):
    """Scores by the definition, one example at a time.

    Returns them by `sum_d a g`, and by `sum w dL/dw + b dL/db`, which is the
    same: a is linear in the kernel and the bias of its channel.
    """
    named = [la for la in net.layers if hasattr(la, "kernel")]
    kernels = {la.name: tf.constant(la.kernel) for la in named}
    biases = {la.name: tf.constant(la.bias) for la in named}
    labels = tf.constant(task.labels)
    embeddings = pool(net(task.images))
    vectors = heads.prototypes(embeddings, labels, task.way)
    scores = {la.name: 0.0 for la in named}
    identity = {la.name: 0.0 for la in named}
    for i in range(len(task)):
        with tf.GradientTape() as tape:
            tape.watch((kernels, biases))
            x, a = run_by_hand(task.images[i : i + 1], kernels, biases)
            logits = heads.cosine_logits(pool(x), vectors)
            loss = heads.cross_entropy(labels[i : i + 1], logits)
        g, d_kernels, d_biases = tape.gradient(loss, (a, kernels, biases))
        for name, kernel in kernels.items():
            inner = np.sum(a[name] * g[name], axis=(0, 1, 2), dtype=float)
            scores[name] += inner**2 / (2 * len(task))
            size = biases[name].shape[0]
            inner = kernel.numpy() * d_kernels[name].numpy()
            inner = inner.reshape(-1, size).sum(axis=0)
            inner = inner + biases[name].numpy() * d_biases[name].numpy()
            identity[name] += inner**2 / (2 * len(task))
    return scores, identity


@pytest.mark.parametrize("head", heads.HEADS)
def test_scores_are_those_of_the_per_example_loop(net, task, head):
    model = ktt.wrap(net, head=head)
    scores = ktt.channel_fisher(model, task)
    assert list(scores) == ["stem", "expand", "dw", "project", "last"]
    expected, identity = per_example(net, task, heads.HEADS[head])
    for name, score in scores.items():
        scale = expected[name].max()
        assert scale > 0
        for other in (expected[name], identity[name]):
            np.testing.assert_allclose(
                score / scale, other / scale, **TOLERANCE
            )


def test_scores_do_not_depend_on_the_batch_size(make_net, task):
    model = ktt.wrap(make_net(norm=True))
    expected = ktt.channel_fisher(model, task)
    for batch_size in (1, 5):
        scores = ktt.channel_fisher(model, task, batch_size=batch_size)
        for name, score in scores.items():
            scale = expected[name].max()
            np.testing.assert_allclose(
                score / scale, expected[name] / scale, **TOLERANCE
            )


def test_scores_by_hand():
    """One dense channel per feature: a = x w + b, g = p - 1 through cosine.

    Both embeddings lie on the axes, so the class means are the unit vectors,
    cosines do not change with length, and every a g cancels.
    """
    net = keras.Sequential([keras.Input((1, 1, 2)), layers.Dense(2, name="d")])
    net.set_weights([np.eye(2, dtype="float32"), np.zeros(2, "float32")])
    images = np.array([[2.0, 0.0], [0.0, 3.0]], "float32")[:, None, None]
    task = ktt.Examples(images, np.array([0, 1]))
    scores = ktt.channel_fisher(ktt.wrap(net), task)
    np.testing.assert_allclose(scores["d"], 0.0, atol=1e-12)


def test_scores_by_hand_off_the_axes():
    """Through u = e / |e|, dL/de = (d_u - u (u d_u)) / |e|.

    Class means are c = (3, 0) and (0, 1). Example 1 has e = (1, 1), equal
    logits, so d_u = 10 (-1/2, 1/2), orthogonal to u: a g = e g = (-5, 5) /
    sqrt 2. Example 2 has e = (5, -1), and logits 60 / sqrt 26 apart. Example
    3 has e = (0, 1) on its class mean: d_u is along the first axis, where a
    is 0, and a g along the second is 0.
    """
    net = keras.Sequential([keras.Input((1, 1, 2)), layers.Dense(2, name="d")])
    net.set_weights([np.eye(2, dtype="float32"), np.zeros(2, "float32")])
    images = np.array([[1, 1], [5, -1], [0, 1]], "float32")[:, None, None]
    task = ktt.Examples(images, np.array([0, 0, 1]))
    scores = ktt.channel_fisher(ktt.wrap(net, head="prototype"), task)

    first = np.array([-5.0, 5.0]) / 2**0.5
    u = np.array([5.0, -1.0]) / 26**0.5
    wrong = 1.0 / (1.0 + np.exp(60.0 / 26**0.5))
    d_u = 10.0 * wrong * np.array([-1.0, 1.0])
    second = u * (d_u - u * (u @ d_u))
    expected = (first**2 + second**2) / (2 * 3)
    np.testing.assert_allclose(scores["d"], expected, rtol=1e-5)


def test_layers_before_the_first_are_left_out(net, task):
    model = ktt.wrap(net)
    scores = ktt.channel_fisher(model, task)
    late = ktt.channel_fisher(model, task, first="project")
    assert list(late) == ["project", "last"]
    for name, score in late.items():
        np.testing.assert_allclose(score, scores[name], rtol=1e-4)


def test_scores_are_those_of_the_wrapped_weights(net, task, make_plan):
    """A new plan starts from them, whatever an earlier one has learned."""
    model = ktt.wrap(net)
    expected = ktt.channel_fisher(model, task)
    ktt.apply_plan(model, make_plan(model, {"stem": [0, 1], "last": [2]}))
    for variable in model.trainable_variables:
        variable.assign(-variable.value)
    for first in (None, "last"):
        scores = ktt.channel_fisher(model, task, first=first)
        for name, score in scores.items():
            np.testing.assert_allclose(score, expected[name], rtol=1e-4)


def test_bad_input_is_refused(net, task, make_task):
    model = ktt.wrap(net)
    with pytest.raises(ValueError, match=r"name of a layer.*'dw'.*'nothing'"):
        ktt.channel_fisher(model, task, first="nothing")
    with pytest.raises(ValueError, match="at least 2 classes"):
        ktt.channel_fisher(model, make_task(way=1))
    grey = ktt.Examples(task.images[..., :1], task.labels)
    with pytest.raises(ValueError, match="images with 3 channels"):
        ktt.channel_fisher(model, grey)
