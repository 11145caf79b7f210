"""What an evaluation runs: its protocol, and its jobs in order."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from keras_tinytrain import published
from keras_tinytrain.budget import Budget
from keras_tinytrain.evaluation.records import FLOAT32
from keras_tinytrain.training import STEPS


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What all episodes of a records file have in common.

    Attributes:
        way: Classes of an episode; None draws them, as Meta-Dataset does.
        shot: Support images of a class; None draws them.
        query: Query images of a class.
        max_way: Upper bound of a drawn way.
        max_support: Upper bound of the size of a drawn support set.
        image_size: Height and width of the images in pixels.
        steps: Training steps of an episode.
        memory: Memory budget, as `Budget` takes it; None is what TinyTrain
            takes for the net in the published table.
        macs: MAC budget, as `Budget` takes it; None likewise.
        representative: Dataset whose images give the scales of int8 nets, as
            `keras_tinytrain.datasets.load` takes it; None is miniImageNet's
            training classes.
    """

    way: int | None = None
    shot: int | None = None
    query: int = 10
    max_way: int = 50
    max_support: int = 500
    image_size: int = 128
    steps: int = STEPS
    memory: int | str | None = None
    macs: int | float | None = None
    representative: str | None = None

    def __post_init__(self) -> None:
        # "1MB" and 1048576 are one protocol.
        memory = Budget(self.memory, self.macs).memory_bytes
        object.__setattr__(self, "memory", memory)

    @property
    def episode(self) -> dict[str, Any]:
        """What `sample_episode` takes besides dataset and seed."""
        fields = ("way", "shot", "query", "max_way", "max_support")
        return {name: getattr(self, name) for name in fields}

    def budget(self, net: str) -> Budget | None:
        """Returns the budget of a net; None if nothing says one.

        Args:
            net: Name of the net in the records.
        """
        memory, macs = published.costs(net, "tinytrain") or (None, None)
        memory = self.memory or (memory and int(memory))
        macs = self.macs or (macs and round(macs))
        return Budget(memory, macs) if memory or macs else None

    def to_json(self) -> dict[str, Any]:
        """Returns the fields by name."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Net:
    """A net to evaluate.

    Attributes:
        name: What records call it.
        weights: `"imagenet"`, `"meta"` or `"none"` of a net of the zoo; the
            hash of a file, so that records of other weights stay apart.
        source: Its name in the zoo, or the path of a `.keras` file.
        precision: `"float32"` or `"int8"`.
    """

    name: str
    weights: str
    source: str
    precision: str = FLOAT32


@dataclasses.dataclass(frozen=True)
class Data:
    """A dataset to evaluate on.

    Attributes:
        name: What records call it.
        source: What `keras_tinytrain.datasets.load` takes.
    """

    name: str
    source: str


Key = tuple[str, str, str, str, str, int, int]


@dataclasses.dataclass(frozen=True)
class Job:
    """One episode that one method learns with one net.

    Attributes:
        net: The net.
        dataset: The dataset.
        method: Name of the method.
        seed: Seed of the evaluation.
        episode: Number of the episode from 0; `seed + episode` is the seed
            that it is drawn with.
    """

    net: Net
    dataset: Data
    method: str
    seed: int
    episode: int

    @property
    def key(self) -> Key:
        """What tells its record from all others."""
        return (
            self.net.name,
            self.net.weights,
            self.net.precision,
            self.dataset.name,
            self.method,
            self.seed,
            self.episode,
        )


def plan_jobs(
    nets: Sequence[Net],
    datasets: Sequence[Data],
    methods: Sequence[str],
    *,
    episodes: int,
    seed: int,
) -> list[Job]:
    """Lists all jobs, episode by episode.

    Every method, dataset and net comes to its first episode before any comes
    to its second, so that what there is when a run is stopped compares.

    Args:
        nets: The nets.
        datasets: The datasets.
        methods: Names of the methods.
        episodes: Number of episodes of each.
        seed: Seed of the evaluation.
    """
    order = itertools.product(range(episodes), nets, datasets, methods)
    return [
        Job(net, dataset, method, seed, episode)
        for episode, net, dataset, method in order
    ]
