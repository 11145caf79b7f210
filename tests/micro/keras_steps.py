"""What Keras learns in a few steps without augmentation."""

import numpy as np
import tensorflow as tf
from devices import class_vectors

from keras_tinytrain import training
from keras_tinytrain.training import VECTOR_LENGTH


def keras_losses(model, images, labels, steps, way=3):
    """Returns the losses of Keras' own steps on the images as they are.

    Afterwards the model predicts with what was learned.
    """
    window = model.training_window()
    features = window.prefix(images)
    vectors = class_vectors(model, images, labels, way)
    size = tf.size(window.pack()) + tf.size(vectors)
    trainer = model.trainer(size)
    trainer.start(vectors, task=object())
    labels = tf.constant(labels, tf.int32)
    losses = []
    for step in range(steps):
        losses.append(trainer.step(features, features, labels)["loss"])
        if step == 0 and model.adapts_learning_rate:
            layers = model.network.layers.values()
            weights = sum(np.prod(layer.kernel_shape) for layer in layers)
            share = max(model.plan.trained_weights, 1) / weights
            rate = training.learning_rate(losses[0], way, share)
            trainer.optimizer.learning_rate.assign(rate)
    slices, trained = trainer.result()
    window.assign(slices)
    means = class_vectors(model, images, labels, way)
    trained = VECTOR_LENGTH * tf.math.l2_normalize(trained, axis=-1)
    share = training.MEANS_SHARE
    model.set_class_vectors(share * means + (1 - share) * trained)
    return losses
