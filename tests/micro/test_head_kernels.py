"""Law 8: embeddings, cosine head, loss: all gradients are TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf
from kernel_library import CosineHead, Guarded, Shape
from oracle import assert_close, differentiate, draw

from keras_tinytrain import heads


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (4, 4, 160), (7, 5, 9), (3, 4, 1)]
)
@pytest.mark.parametrize("scale", [1, 0])
def test_pyramid_pooling(kernels, shape, scale):
    x, start = scale * draw(0, *shape), draw(2, *shape)
    d_output = draw(1, 5 * shape[-1])
    expected, d_x = differentiate(heads.pyramid, x[None], lambda _: d_output)
    embedding, norms = Guarded(d_output.shape), Guarded(2)
    kernels.pyramid_pooling_forward(Shape(*shape), x, embedding, norms)
    assert_close(embedding.check(), expected[0])
    d_embedding = Guarded(d_output.shape, fill=d_output)
    d_input = Guarded(shape, fill=start)
    kernels.pyramid_pooling_backward(
        Shape(*shape), embedding, norms.check(), d_embedding, d_input
    )
    d_embedding.check()
    actual, expected = d_input.check(), start + d_x[0]
    # The gradient at zero is 1e6 times as large.
    atol = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize(("depth", "classes"), [(160, 10), (7, 2), (800, 25)])
@pytest.mark.parametrize("zero", ["none", "embedding", "vector"])
@pytest.mark.parametrize("trained", [True, False])
def test_cosine_head(kernels, depth, classes, zero, trained):
    e = draw(0, 1, depth) * (zero != "embedding")
    v = draw(1, classes, depth)
    v[1] *= zero != "vector"
    label = np.array([classes - 1])
    with tf.GradientTape() as tape:
        tensors = tf.Variable(e), tf.Variable(v)
        logits = heads.cosine_logits(*tensors)
        loss = heads.cross_entropy(label, logits)
    d_e, d_v = (g.numpy() for g in tape.gradient(loss, tensors))

    head = CosineHead(depth, classes, heads.SCALE)
    norms, actual = Guarded(1 + classes), Guarded(classes)
    kernels.cosine_head_forward(head, e, v, norms, actual)
    assert_close(actual.check(), logits[0])
    d_logits = Guarded(classes)
    actual_loss = kernels.softmax_cross_entropy(
        actual, classes, int(label[0]), d_logits
    )
    np.testing.assert_allclose(actual_loss, loss[0], rtol=1e-5)
    no_gradient = kernels.softmax_cross_entropy(actual, classes, 0, None)
    assert np.isfinite(no_gradient)
    d_embedding = Guarded(depth, fill=1)
    d_vectors = Guarded(v.shape, fill=1)
    kernels.cosine_head_backward(
        *(head, e, v, norms.check(), actual, d_logits.check(), d_embedding),
        d_vectors if trained else None,
    )
    for gradient, expected in ((d_embedding, d_e[0]), (d_vectors, d_v)):
        if gradient is d_vectors and not trained:
            expected = np.zeros_like(expected)
        atol = 1e-6 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(
            gradient.check(), expected + 1, rtol=1e-5, atol=atol
        )


def test_softmax_of_far_logits_and_nan(kernels):
    d_logits = np.zeros(3, np.float32)
    far = np.array([1000, -1000, 0], np.float32)
    assert kernels.softmax_cross_entropy(far, 3, 0, d_logits) == 0
    np.testing.assert_array_equal(d_logits, 0)
    assert kernels.softmax_cross_entropy(far, 3, 2, d_logits) == 1000
    bad = np.array([1, np.nan, 0], np.float32)
    assert np.isnan(kernels.softmax_cross_entropy(bad, 3, 0, d_logits))


def test_exponential_and_logarithm(kernels):
    x = -np.linspace(0, 86.9, 20011, dtype=np.float32)
    actual = [kernels.exp_of_negative(float(v)) for v in x]
    np.testing.assert_allclose(actual, np.exp(x, dtype=np.float64), rtol=2e-7)
    y = np.geomspace(1, 1e30, 20011).astype(np.float32)
    actual = [kernels.log_above_one(float(v)) for v in y]
    expected = np.log(y.astype(np.float64))
    np.testing.assert_allclose(actual, expected, rtol=2e-7, atol=2e-7)
    assert kernels.exp_of_negative(0.0) == 1
    assert kernels.exp_of_negative(-88.0) == 0
    assert np.isnan(kernels.exp_of_negative(float("nan")))
    assert kernels.log_above_one(float("inf")) == np.inf
