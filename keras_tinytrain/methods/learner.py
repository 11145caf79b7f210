"""What every method builds: a learner of one task after another."""

from __future__ import annotations

import time
from typing import Protocol

import keras
import numpy as np

from keras_tinytrain.examples import Examples
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.training import STEPS, VIEWS


class Learner(Protocol):
    """A network that learns tasks, each from the weights it was built with.

    Attributes:
        plan: The `UpdatePlan` of the last task; None before the first, and
            for a method that trains what no plan can say.
        memory_bytes: Memory of training, under the learner's cost model.
        macs: Backward multiply-accumulates of one sample.
        trained_weights: Number of trained weights, as the costs count them.
        selection_seconds: How long the last task took to choose what trains;
            None for a method that does not choose.
    """

    plan: UpdatePlan | None
    memory_bytes: int
    macs: int
    trained_weights: int
    selection_seconds: float | None

    def learn(
        self,
        support: Examples,
        *,
        query_images: np.ndarray | None = None,
        seed: int = 0,
    ) -> None:
        """Learns a task and forgets the one before.

        Args:
            support: The labelled images.
            query_images: The images to be classified later, without labels:
                for transductive methods. The others leave them alone.
            seed: Seed of all that is drawn while learning.
        """

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Computes logits `(n, way)`."""

    def evaluate(self, query: Examples) -> float:
        """Returns the share of a query set that is classified right."""


class PlanLearner:
    """Learns by training a wrapped model under the plan of a callback.

    Args:
        model: The wrapped model.
        planner: The callback that applies the plan, such as
            `TaskAdaptiveSparse` or `StaticSparse`.
        steps: Training steps. None at all leaves class means.
        adaptive: Whether the callback looks at the task.
        transductive: Whether it learns from the query images too.
    """

    def __init__(
        self,
        model: AdaptiveModel,
        planner: keras.callbacks.Callback,
        *,
        steps: int = STEPS,
        adaptive: bool = False,
        transductive: bool = False,
    ) -> None:
        self.model = model
        self.planner = planner
        self.steps = steps
        self.selection_seconds = None
        self._adaptive = adaptive
        self.transductive = transductive

    def learn(
        self,
        support: Examples,
        *,
        query_images: np.ndarray | None = None,
        seed: int = 0,
    ) -> None:
        """Fits the model to the support set; see `Learner`."""
        if self.transductive and query_images is None:
            raise ValueError(
                "Expected query images: this method learns from them, without "
                "their labels. Received: query_images=None"
            )
        times = [time.perf_counter()]
        planned = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: times.append(time.perf_counter())
        )
        self.model.fit(
            support,
            steps_per_epoch=self.steps,
            views=VIEWS if self.steps else 0,
            seed=seed,
            query_images=query_images if self.transductive else None,
            callbacks=[self.planner, planned],
            verbose=0,
        )
        if self._adaptive:
            self.selection_seconds = times[1] - times[0]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Computes logits `(n, way)`."""
        return self.model.predict(images)

    def evaluate(self, query: Examples) -> float:
        """Returns the share of a query set that is classified right."""
        result = self.model.evaluate(query, verbose=0, return_dict=True)
        return result["accuracy"]

    @property
    def plan(self) -> UpdatePlan | None:
        """The plan of the last task."""
        return self.model.plan

    @property
    def memory_bytes(self) -> int:
        """Memory of training."""
        return self.plan.memory_bytes

    @property
    def macs(self) -> int:
        """Backward multiply-accumulates of one sample."""
        return self.plan.macs

    @property
    def trained_weights(self) -> int:
        """Number of trained kernel weights."""
        return self.plan.trained_weights
