"""The published numbers of TinyTrain, by the names of this library."""

from __future__ import annotations

import functools
import json
import pathlib

_FILE = pathlib.Path(__file__).with_name("published.json")


def accuracy(net: str, method: str, dataset: str) -> float | None:
    """Returns the published accuracy in %, None where there is none.

    Args:
        net: Name of a net of the zoo.
        method: Name of a method, as `"full"` for FullTrain.
        dataset: Name of a target dataset.

    Reference:
        - [TinyTrain](https://arxiv.org/abs/2307.09988), the accuracy table:
          means over 200 tasks. TinyTrain is meta-trained there; the other
          rows of MCUNet equal those of the ablation without.
    """
    table = _read()
    row = table["accuracy"].get(net, {}).get(method)
    if row is None or dataset not in table["datasets"]:
        return None
    return row[table["datasets"].index(dataset)]


def costs(net: str, method: str) -> tuple[float, float] | None:
    """Returns published memory in bytes and backward MACs, None without.

    The cells are rounded to about three digits.

    Args:
        net: Name of a net of the zoo.
        method: Name of a method.
    """
    cell = _read()["costs"].get(net, {}).get(method)
    return None if cell is None else (cell[0] * 2**20, cell[1] * 1e6)


def methods(net: str) -> list[str]:
    """Returns the methods with published accuracy of a net, in order."""
    return list(_read()["accuracy"].get(net, {}))


def titles() -> dict[str, str]:
    """Returns what the paper calls its methods, in the order of its table."""
    return dict(_read()["methods"])


@functools.cache
def _read() -> dict:
    return json.loads(_FILE.read_text())
