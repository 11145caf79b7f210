"""What a meta-training does, apart from the net and the images."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

# Ways to make photographs look like drawings, signs or characters; see
# `keras_tinytrain.meta.styles`.
STYLES = ("invert", "grey", "edges", "sketch", "false_colours")
# What the classes of a task may be besides those of the source; see
# `keras_tinytrain.meta.tasks`.
TASKS = ("instances", "drawings", "signs")
OPTIMIZERS = ("sgd", "adam")
HEADS = ("prototype", "linear")
_LEAST = {
    "episodes": 1,
    "batch": 1,
    "way": 2,
    "shot": 1,
    "query": 1,
    "max_way": 5,
    "max_support": 5,
    "stored_size": 1,
    "whitening": 0,
    "seed": 0,
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to meta-train; by default PMF's recipe, with fewer episodes.

    Attributes:
        episodes: Number of episodes in all. The learning rate falls to zero
            over them.
        batch: Episodes of a step, over all replicas. Must divide `episodes`.
        way: Classes of an episode; None draws them, as Meta-Dataset does.
        shot: Support images of a class; None draws them.
        query: Query images of a class; with `shot=None` the most of them.
        max_way: Upper bound of a drawn way.
        max_support: Upper bound of the size of a drawn support set.
        optimizer: `"sgd"`, with momentum 0.9, or `"adam"`.
        learning_rate: The largest one, after warm-up.
        warmup: Share of the episodes over which the learning rate rises.
        head: What embeds a feature map (`keras_tinytrain.heads`):
            `"prototype"`, its mean as in PMF, or `"linear"`, its mean and
            those of its quarters, as the linear head adapts with.
        classification: Weight of the cross-entropy over all classes of the
            source, of all images of an episode; one minus it is that of the
            episode. 0 is none.
        distillation: Weight of one minus the cosine between embeddings of the
            net and those of the net at the start, of photographs in tasks of
            classes of the source. 0 is none.
        keep: Share of the weights at the start in the mean of them and the
            trained ones that the net ends with.
        whitening: Tasks from which it is seen, after training, how images of
            a class differ, to even it out in the last layer
            (`keras_tinytrain.meta.whitening`). 0 is none.
        crop: Smallest area that a random crop keeps, as a share; 1 keeps
            whole images.
        jitter: Largest relative change of brightness, contrast and
            saturation each.
        flip: Probability of mirroring an image.
        styles: Probability, by name among `STYLES`, that all images of an
            episode are turned into that style. What is left to 1 is plain.
        tasks: Probability, by name among `TASKS`, that the classes of an
            episode are not those of the source: `"instances"`, single images
            of the source under strong changes; `"drawings"`, made-up
            characters; `"signs"`, such on plates in front of photographs.
        stored_size: Height and width at which images are kept in memory,
            before cropping: 38,400 images of 84 px are 813 MB.
        seed: Seed of all that is drawn.

    Raises:
        ValueError: If a value is not as stated.

    Example:

    >>> Recipe(learning_rate=3e-3, styles={"sketch": 0.2, "invert": 0.1})

    Reference:
        - [PMF](https://arxiv.org/abs/2204.07305)
    """

    episodes: int = 20_000
    batch: int = 1
    way: int | None = 5
    shot: int | None = 5
    query: int = 15
    max_way: int = 20
    max_support: int = 100
    optimizer: str = "sgd"
    learning_rate: float = 1e-3
    warmup: float = 0.05
    head: str = "prototype"
    classification: float = 0.0
    distillation: float = 0.0
    keep: float = 0.0
    whitening: int = 0
    crop: float = 0.05
    jitter: float = 0.4
    flip: float = 0.5
    styles: Mapping[str, float] = dataclasses.field(default_factory=dict)
    tasks: Mapping[str, float] = dataclasses.field(default_factory=dict)
    stored_size: int = 84
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("styles", "tasks"):
            object.__setattr__(self, name, dict(getattr(self, name)))
        for name, least in _LEAST.items():
            if getattr(self, name) is not None or name not in ("way", "shot"):
                self._check_integer(name, least)
        if self.episodes % self.batch:
            raise self._wrong("episodes", f"a multiple of {self.batch}")
        for name in ("warmup", "classification", "keep", "jitter", "flip"):
            self._check_share(name, getattr(self, name))
        for name in ("learning_rate", "crop"):
            value = getattr(self, name)
            if not _is_number(value) or value <= 0:
                raise self._wrong(name, "a positive number")
        self._check_share("crop", self.crop)
        if not _is_number(self.distillation) or self.distillation < 0:
            raise self._wrong("distillation", "a number from 0")
        for name, known in (("optimizer", OPTIMIZERS), ("head", HEADS)):
            if getattr(self, name) not in known:
                raise self._wrong(name, f"one of {', '.join(known)}")
        for name, known in (("styles", STYLES), ("tasks", TASKS)):
            shares = getattr(self, name)
            if not set(shares) <= set(known):
                raise self._wrong(name, f"names among {', '.join(known)}")
            for share in shares.values():
                self._check_share(name, share)
            self._check_share(name, math.fsum(shares.values()))

    @property
    def steps(self) -> int:
        """Number of steps in all."""
        return self.episodes // self.batch

    @property
    def drawing(self) -> dict[str, Any]:
        """What `draw_episode` takes besides dataset and seed."""
        names = ("way", "shot", "query", "max_way", "max_support")
        return {name: getattr(self, name) for name in names}

    def seed_of(self, episode: int) -> int:
        """Returns the seed of an episode.

        No two seeds of recipes share one of fewer than 2 ** 40 episodes.
        """
        return (self.seed << 40) + episode

    def rate(self, step: int) -> float:
        """Returns the learning rate of a step.

        It rises linearly over the steps of the warm-up, then falls as half a
        cosine to zero:

            rate = learning_rate * (1 + cos(pi * t)) / 2,  t from 0 to 1.

        Args:
            step: Number of the step, from 0.
        """
        rising = round(self.warmup * self.steps)
        if step < rising:
            return self.learning_rate * (step + 1) / (rising + 1)
        share = (step - rising) / (self.steps - rising)
        return self.learning_rate * (1 + math.cos(math.pi * share)) / 2

    def to_json(self) -> str:
        """Returns the recipe as one line, names sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def _check_integer(self, name: str, least: int) -> None:
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < least:
            raise self._wrong(name, f"an integer from {least}")

    def _check_share(self, name: str, value: float) -> None:
        if not _is_number(value) or not 0 <= value <= 1:
            raise self._wrong(name, "from 0 to 1")

    def _wrong(self, name: str, expected: str) -> ValueError:
        return ValueError(
            f"Expected `{name}` of the recipe to be {expected}. Received: "
            f"{name}={getattr(self, name)!r}"
        )


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)
