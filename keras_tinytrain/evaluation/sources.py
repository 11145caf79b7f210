"""Finds nets and datasets, and refuses what could not be evaluated later."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Sequence

from keras_tinytrain import datasets, methods
from keras_tinytrain.episodes import draw_episode
from keras_tinytrain.evaluation.protocol import Data, Net, Protocol
from keras_tinytrain.evaluation.records import FLOAT32, INT8, PRECISIONS
from keras_tinytrain.evaluation.worker import build_net, load_dataset


def find_nets(
    sources: Sequence[str],
    weights: str,
    method_names: Sequence[str],
    protocol: Protocol,
    precision: str = FLOAT32,
) -> list[Net]:
    """Finds nets, and builds each once to see that it works.

    Args:
        sources: Names of nets of the zoo, or `.keras` files.
        weights: `"imagenet"`, `"meta"` or `"none"`, of nets of the zoo.
        method_names: What will learn with them.
        protocol: What episodes share.
        precision: One of `PRECISIONS`.

    Raises:
        OSError: If weights, a file or representative images are not there.
        ValueError: If a net, a method or the precision is unknown, a net or a
            method cannot be had in int8, or a budget is too small.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"Expected precision to be one of {PRECISIONS}. Received: "
            f"precision={precision!r}"
        )
    nets = []
    for source in sources:
        net = Net(source, weights, source, precision)
        path = pathlib.Path(source)
        if path.suffix == ".keras" and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            net = Net(path.stem, f"sha256:{digest}", source, precision)
        nets.append(net)
        model = build_net(net, protocol)
        for name in method_names:
            if methods.get(name).adaptive or precision == INT8:
                budget = protocol.budget(net.name)
                try:
                    methods.build(name, model, budget=budget)
                except ValueError as error:
                    raise ValueError(
                        f"{error} (Method {name!r}, {precision} net.)"
                    ) from error
    _check_distinct("nets", [(net.name, net.weights) for net in nets])
    return nets


def find_datasets(
    sources: Sequence[str], protocol: Protocol, seed: int
) -> tuple[list[Data], dict[str, str]]:
    """Finds datasets, and draws an episode of each to see that one can.

    Args:
        sources: Names of datasets, or folders.
        protocol: What episodes share.
        seed: Seed of the first episode.

    Returns:
        The datasets, and those that are known and not there with the reason.

    Raises:
        OSError: If a folder is not there.
        ValueError: If a name is unknown, or no episode can be drawn.
    """
    found, absent = [], {}
    for source in sources:
        try:
            reasons = datasets.missing([source])
        except ValueError:
            reasons = {}  # A folder, or `load` says that it is nothing.
        if reasons:
            absent |= reasons
            continue
        dataset = load_dataset(Data(source, source), protocol.image_size)
        draw_episode(dataset, seed=seed, **protocol.episode)
        found.append(Data(dataset.name, source))
    _check_distinct("datasets", [dataset.name for dataset in found])
    return found, absent


def _check_distinct(what: str, names: Sequence) -> None:
    if len(set(names)) < len(names):
        raise ValueError(
            f"Expected {what} of different names, by which records know "
            f"them. Received: {names}"
        )
