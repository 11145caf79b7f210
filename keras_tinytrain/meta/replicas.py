"""Episodes shared out among replicas, and what they give summed up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_tinytrain.meta.learner import Learner, State
from keras_tinytrain.meta.stream import Batch


class Totals(NamedTuple):
    """Means over the episodes of a step, or of a validation.

    Attributes:
        gradient: `(size,)`; empty of a validation.
        loss: Cross-entropy.
        accuracy: Share of query images that were classified right.
        images: Number of images, about, where replicas have unequal ones.
    """

    gradient: tf.Tensor
    loss: float
    accuracy: float
    images: int


class Replicas:
    """Runs the loss of episodes, each on one replica.

    Replica r of R takes the episodes r, r + R, ... of a step, and the sum
    over replicas is divided by the number of episodes, so that any number of
    replicas gives the same gradient but for rounding.

    Args:
        learner: What is trained.
        strategy: How replicas are spread.
    """

    def __init__(
        self, learner: Learner, strategy: tf.distribute.Strategy
    ) -> None:
        self.learner, self.strategy = learner, strategy
        self.count = strategy.num_replicas_in_sync
        # Shapes differ where way and shot are drawn.
        self._train = tf.function(
            lambda values, batch: self._sum(self._gradient, values, batch),
            reduce_retracing=True,
        )
        self._judge = tf.function(
            lambda values, batch: self._sum(self._losses, values, batch),
            reduce_retracing=True,
        )

    def numbers(
        self, replica: int, first: int, stop: int, batch: int
    ) -> Iterator[tuple[int, float]]:
        """Lists the episodes of one replica, and what each counts.

        Where a batch does not share out evenly, replicas without an episode
        run the first one of the batch, which counts nothing there.

        Args:
            replica: Number of the replica.
            first: Number of the first episode.
            stop: Number behind the last one.
            batch: Episodes of a step.
        """
        for start in range(first, stop, batch):
            for place in range(replica, self.rounds(batch), self.count):
                counts = place < batch
                yield start + (place if counts else 0), float(counts)

    def rounds(self, batch: int) -> int:
        """Returns the places of a step: its episodes, rounded up to all."""
        return -(-batch // self.count) * self.count

    def feed(
        self, make: Callable[[int], tf.data.Dataset]
    ) -> Callable[[], Batch]:
        """Returns a function that gives every replica its next episode.

        Args:
            make: Makes the episodes of a replica by its number.
        """
        iterators: dict[int, Iterator[Batch]] = {}

        def following(context) -> Batch:
            replica = context.replica_id_in_sync_group
            if replica not in iterators:
                iterators[replica] = iter(make(replica))
            return next(iterators[replica])

        return lambda: (
            self.strategy.experimental_distribute_values_from_function(
                following
            )
        )

    def train(
        self, values: tf.Tensor, feed: Callable[[], Batch], batch: int
    ) -> Totals:
        """Returns gradient, loss and accuracy of the next episodes."""
        return self._means(self._train, values, feed, batch)

    def judge(
        self, values: tf.Tensor, feed: Callable[[], Batch], batch: int
    ) -> Totals:
        """Returns loss and accuracy of the next episodes."""
        return self._means(self._judge, values, feed, batch)

    def agree(self, state: State) -> State:
        """Returns the state of replica 0, on every worker."""
        if self.count == 1:
            return state
        size = self.learner.size
        flat = tf.concat(
            [state.values, tf.reshape(state.slots, [-1]), [state.step]], 0
        )
        mine = self.strategy.experimental_distribute_values_from_function(
            lambda context: (
                flat
                if context.replica_id_in_sync_group == 0
                else tf.zeros_like(flat)
            )
        )
        flat = self.strategy.reduce("SUM", mine, axis=None)
        slots = tf.reshape(flat[size:-1], [-1, size])
        return State(flat[:size], slots, int(flat[-1]))

    def _means(self, function, values, feed, batch) -> Totals:
        total, images = 0.0, 0
        for _ in range(self.rounds(batch) // self.count):
            given = feed()
            total += function(values, given)
            local = self.strategy.experimental_local_results(given.images)
            images += self.count * int(local[0].shape[0])
        total /= batch
        loss, accuracy = np.asarray(total[-2:])
        return Totals(total[:-2], float(loss), float(accuracy), images)

    def _sum(self, function, values, batch) -> tf.Tensor:
        parts = self.strategy.run(function, args=(values, batch))
        return self.strategy.reduce("SUM", parts, axis=None)

    def _gradient(self, values: tf.Tensor, batch: Batch) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss, accuracy = self.learner.loss(values, batch)
        gradient = tape.gradient(loss, values)
        return batch.weight * tf.concat([gradient, [loss, accuracy]], 0)

    def _losses(self, values: tf.Tensor, batch: Batch) -> tf.Tensor:
        return batch.weight * tf.stack(self.learner.loss(values, batch))
