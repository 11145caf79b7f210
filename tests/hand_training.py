"""Training by hand: the plain net, TensorFlow's gradients, and no plan."""

import numpy as np
import tensorflow as tf

from keras_tinytrain import heads
from keras_tinytrain.training import MEANS_SHARE, VECTOR_LENGTH


class HandTraining:
    """A net in front of a task, as it is before the first step.

    The vectors of the classes train with a linear head; those of a prototype
    head follow from the net.
    """

    def __init__(self, net, task, head):
        self.net, self.head = net, head
        self.images, self.labels = task.images, tf.constant(task.labels)
        self.way, self.pool = task.way, heads.HEADS[head]
        self.vectors = tf.Variable(_unit(self._means(self.embed())))

    def embed(self, images=None):
        return self.pool(self.net(self.images if images is None else images))

    def _means(self, embeddings):
        return heads.prototypes(embeddings, self.labels, self.way)

    def loss(self):
        """Returns the mean cross-entropy, and the class vectors it took."""
        embeddings, classes = self.embed(), self.vectors
        if self.head == "prototype":
            classes = self._means(embeddings)
        logits = heads.cosine_logits(embeddings, classes)
        losses = heads.cross_entropy(self.labels, logits)
        return tf.reduce_mean(losses), classes

    def check_same(self, model, folded, *, atol):
        """Compares with a model, the `folded` weights of which are given."""
        for name, (kernel, bias) in folded.items():
            layer = self.net.get_layer(name)
            expected = layer.kernel.numpy().reshape(kernel.shape)
            np.testing.assert_allclose(kernel, expected, atol=atol)
            np.testing.assert_allclose(bias, layer.bias, atol=atol)
        if self.head == "linear":
            means = _unit(self._means(self.embed()))
            final = MEANS_SHARE * means
            final += (1 - MEANS_SHARE) * _unit(self.vectors)
            np.testing.assert_allclose(model.class_vectors, final, atol=atol)


def _unit(vectors):
    return VECTOR_LENGTH * tf.math.l2_normalize(vectors, axis=-1)
