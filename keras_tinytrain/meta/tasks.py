"""What the classes of a task are: those of the source, or made-up ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_tinytrain.episodes import draw_episode
from keras_tinytrain.meta.drawings import SAMPLES, Drawings
from keras_tinytrain.meta.paint import paint_ink, paint_signs
from keras_tinytrain.meta.recipe import TASKS, Recipe
from keras_tinytrain.meta.source import Source, arrange
from keras_tinytrain.meta.styles import apply_style
from keras_tinytrain.meta.views import jitter, random_views, to_bytes
from keras_tinytrain.meta.warp import warp

_INSTANCES, _DRAWINGS, _SIGNS = map(TASKS.index, TASKS)
PHOTOGRAPHS = len(TASKS)


class Task(NamedTuple):
    """The images of a task, not made yet.

    Attributes:
        kind: The place in `TASKS`, or `PHOTOGRAPHS` for classes of the source.
        positions: `(n,)` of the images, support first.
        labels: `(n,)`, from 0 to way - 1.
        classes: `(n,)`, the classes in the source, -1 for none.
        support: How many of the images are support.
    """

    kind: int
    positions: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    support: int


class Tasks:
    """Draws the tasks of a recipe, and makes their images.

    Args:
        source: The photographs.
        recipe: How often a task is of which kind.
    """

    def __init__(self, source: Source, recipe: Recipe) -> None:
        self.source, self.recipe = source, recipe
        self._shares = [recipe.tasks.get(name, 0.0) for name in TASKS]
        self._drawings = None
        if any(self._shares[1:]):
            self._drawings = Drawings()
            with tf.device("CPU:0"):
                self._layers = tf.constant(self._drawings.images)
                self._tones = tf.constant(self._drawings.tones)

    def draw(self, number: int) -> Task:
        """Draws a task, the same for the same number and recipe."""
        seed = [self.recipe.seed, number, *b"kind"]
        rng = np.random.Generator(np.random.PCG64(seed))
        kind = int(np.sum(rng.uniform() >= np.cumsum(self._shares)))
        if kind in (_DRAWINGS, _SIGNS):
            drawn = draw_episode(
                self._drawings, seed=self.recipe.seed_of(number), **self._size
            )
            positions, labels, support = arrange(drawn)
            none = np.full_like(labels, -1)
            return Task(kind, positions, labels, none, support)
        positions, labels, classes, support = self.source.draw(
            number, self.recipe
        )
        if kind == _INSTANCES:
            number_of = self.source.number_of
            way = labels.max() + 1
            chosen = rng.choice(len(number_of), way, replace=False)
            positions = chosen[labels].astype(np.int32)
            classes = number_of[positions]
        return Task(kind, positions, labels, classes, support)

    def views(
        self,
        kind: tf.Tensor,
        positions: tf.Tensor,
        seed: tf.Tensor,
        size: tuple[int, int],
    ) -> tf.Tensor:
        """Makes random views of a task's images, `(n, *size, 3)` uint8."""
        store = self.source.images
        seeds = tf.unstack(tf.random.split(seed, 3))

        def photographs():
            return random_views(store, positions, seed, size, self.recipe)

        def instances():
            images = tf.gather(store, positions)
            images = warp(images, seeds[0], size, "REFLECT")
            images = jitter(images, seeds[1], self.recipe.jitter)
            return to_bytes(apply_style(images, seeds[2], self.recipe.styles))

        def layers():
            images = tf.gather(self._layers, positions)
            return warp(images, seeds[0], size, "CONSTANT")

        def drawings():
            return to_bytes(paint_ink(layers(), seeds[1]))

        def signs():
            behind = tf.random.stateless_uniform(
                tf.shape(positions),
                seeds[1],
                0,
                tf.shape(store)[0],
                tf.int32,
            )
            behind = random_views(store, behind, seeds[1], size, self.recipe)
            tones = tf.gather(self._tones, positions)
            behind = tf.cast(behind, tf.float32)
            return to_bytes(paint_signs(layers(), tones, behind, seeds[2]))

        if self._drawings is None:
            return tf.cond(kind == _INSTANCES, instances, photographs)
        return tf.switch_case(kind, [instances, drawings, signs, photographs])

    @property
    def _size(self) -> dict:
        """Way and shot, bounded by the samples that a drawing has."""
        size, half = self.recipe.drawing, SAMPLES // 2
        shot = size["shot"] and min(size["shot"], half)
        return {**size, "shot": shot, "query": min(size["query"], half)}
