"""The classes of Meta-Dataset for training, validation and test."""

import functools
import importlib.resources
import json
import re
from collections.abc import Sequence

SPLITS = ("train", "valid", "test")


@functools.cache
def official(dataset: str) -> dict[str, tuple[str, ...]]:
    """Returns the official class names of each split; none if there are none.

    Those of Omniglot are alphabets. The lists are those of
    google-research/meta-dataset, see NOTICE.

    Args:
        dataset: Name of the dataset, such as `"cub"`.

    Example:

    >>> official("dtd")["test"][:2]
    ('banded', 'bumpy')
    """
    file = importlib.resources.files(__package__) / "class_splits.json"
    splits = json.loads(file.read_text(encoding="utf-8")).get(dataset, {})
    return {split: tuple(names) for split, names in splits.items()}


def choose_classes(
    dataset: str, classes: Sequence[str], split: str
) -> tuple[str, ...]:
    """Returns those of the classes that are in a split, in their order.

    Names may be written a little differently: `008.Rhinoceros_Auklet` is also
    `Rhinoceros_Auklet` and `008`, `stop sign` is also `stop_sign`, and
    parentheses do not matter.

    Args:
        dataset: Name of the dataset.
        classes: Class names. Those of Omniglot are `alphabet-character01`.
        split: `"train"`, `"valid"` or `"test"`.

    Returns:
        At least one class name.

    Raises:
        ValueError: If the dataset has no splits, if a class is in none of
            them, or if none of the classes is in this one.
    """
    if split not in SPLITS:
        raise ValueError(
            f"Expected `split` to be one of {', '.join(SPLITS)}. "
            f"Received: split={split!r}"
        )
    split_of = {
        key: part
        for part, names in official(dataset).items()
        for name in names
        for key in _keys(name)
    }
    if not split_of:
        raise ValueError(
            "Expected a dataset that Meta-Dataset splits into classes for "
            f"training, validation and test. Received: split={split!r} for "
            f"`{dataset}`, which has no such splits; leave `split` out"
        )
    found = [split_of.get(_key(dataset, name)) for name in classes]
    unknown = [x for x, part in zip(classes, found, strict=True) if not part]
    if unknown:
        raise ValueError(
            f"Expected the classes of `{dataset}` to be named as in "
            f"Meta-Dataset, to choose those of split={split!r}. Received: "
            f"{len(unknown)} other names, {', '.join(unknown[:8])}; leave "
            "`split` out, or rename the classes"
        )
    chosen = [
        x for x, part in zip(classes, found, strict=True) if part == split
    ]
    if not chosen:
        raise ValueError(
            f"Expected classes of split={split!r} in `{dataset}`. Received: "
            f"{len(classes)} classes, all of {', '.join(sorted(set(found)))}"
        )
    return tuple(chosen)


def _keys(name):
    """The ways to write an official name: without its number, as a number."""
    number, _, rest = name.partition(".")
    if rest and number.isdigit():
        return _plain(rest), str(int(number))
    return (_plain(name),)


def _key(dataset, name):
    """How `_keys` writes the name of a class, of Omniglot its alphabet."""
    if dataset == "omniglot":
        name = name.rpartition("-")[0]
    return str(int(name)) if name.isdigit() else _keys(name)[0]


def _plain(name):
    return re.sub(r"[ /]", "_", re.sub(r"[()]", "", name)).lower()
