"""Few-shot episodes: a support set to learn from, a query set to test on."""

import collections
import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from keras_tinytrain.examples import Examples, check_examples
from keras_tinytrain.grouping import can_split, split_items

# Meta-Dataset, `data_config_common.gin`. Its other settings are the defaults
# of `sample_episode`.
MIN_WAY = 5
MAX_SUPPORT_PER_CLASS = 100  # What one class may add to the support size.
LOG_WEIGHT_RANGE = (np.log(0.5), np.log(2.0))

# Sets of classes tried before giving up. Only a dataset with images of
# several classes in one group ever needs a second one.
CLASS_ATTEMPTS = 20


@dataclasses.dataclass(frozen=True, eq=False)
class Episode:
    """One few-shot task.

    Args:
        support: The `Examples` to learn from, class after class.
        query: The `Examples` to test on, class after class.
        classes: The name of the class of each label.
        dataset: Name of the dataset the episode is drawn from.
    """

    support: Examples
    query: Examples
    classes: tuple[str, ...]
    dataset: str


class Item(NamedTuple):
    """One image of a dataset, not loaded yet.

    Args:
        key: What the dataset finds the image by.
        group: Images of equal group, in whatever classes, are never on both
            sides of an episode. An image with no relatives has a group of
            its own.
    """

    key: Hashable
    group: Hashable


class Dataset(Protocol):
    """What `sample_episode` needs of a dataset.

    Attributes:
        name: Name for seeds, records and messages.
        classes: The class names. Their order, like the order of `items`, is
            part of the dataset: the same seed draws by position.
    """

    name: str
    classes: tuple[str, ...]

    def items(self, class_name: str) -> Sequence[Item]:
        """Returns the images of a class."""

    def superclass(self, class_name: str) -> str | None:
        """Returns the set of classes that an episode stays inside."""

    def load(self, items: Sequence[Item]) -> np.ndarray:
        """Returns the images `(n, height, width, channels)` of `items`."""


@dataclasses.dataclass(frozen=True)
class EpisodeItems:
    """The images of an episode, not loaded yet.

    Args:
        classes: The name of the class of each label.
        support: For each label, the items to learn from.
        query: For each label, the items to test on.
    """

    classes: tuple[str, ...]
    support: tuple[tuple[Item, ...], ...]
    query: tuple[tuple[Item, ...], ...]


def sample_episode(
    dataset: Dataset,
    *,
    seed: int,
    way: int | None = None,
    shot: int | None = None,
    query: int = 10,
    max_way: int = 50,
    max_support: int = 500,
) -> Episode:
    """Draws an episode; by default as Meta-Dataset does.

    Meta-Dataset draws the number of classes, the size of the support set and
    the share of each class in it: a various-way, various-shot episode, with
    the same number of query images for each class,

        q = min(query, min_c n_c // 2),

    of the n_c images of class c. The support set is then sized by
    `shots_per_class`. Where images come in groups, `n_c // 2` becomes what
    can be had on both sides with no group on both (`largest_half`), and the
    images left for the support set are those of the groups not in the query.

    The same seed and dataset give the same episode byte for byte.

    Args:
        dataset: A `Dataset`, such as `ImageFolder` or `ArrayDataset`.
        seed: Non-negative integer.
        way: Number of classes. When None it is drawn from
            [5, min(max_way, classes)].
        shot: Support images per class. When None they are drawn.
        query: Query images per class. With `shot=None` an upper bound.
        max_way: Upper bound of a drawn way.
        max_support: Upper bound of the size of a drawn support set.

    Returns:
        An `Episode`.

    Raises:
        ValueError: If the dataset has too few classes, or too few images in
            them. Classes with too few images are passed over as long as
            others remain.

    Example:

    >>> episode = sample_episode(dataset, seed=0, way=5, shot=5)
    >>> len(episode.support), len(episode.query)
    (25, 50)

    Reference:

    - [Triantafillou et al., 2020](https://arxiv.org/abs/1903.03096)
    """
    drawn = draw_episode(
        dataset,
        seed=seed,
        way=way,
        shot=shot,
        query=query,
        max_way=max_way,
        max_support=max_support,
    )
    # A dataset may be of a user's own making.
    return Episode(
        support=check_examples(_load(dataset, drawn.support)),
        query=check_examples(
            _load(dataset, drawn.query), way=len(drawn.classes)
        ),
        classes=drawn.classes,
        dataset=dataset.name,
    )


def draw_episode(
    dataset: Dataset,
    *,
    seed: int,
    way: int | None = None,
    shot: int | None = None,
    query: int = 10,
    max_way: int = 50,
    max_support: int = 500,
) -> EpisodeItems:
    """Draws the images of an episode without loading them.

    Args and errors are those of `sample_episode`.

    Returns:
        The `EpisodeItems` that `sample_episode` would load.
    """
    _check_count("seed", seed, 0)
    _check_count("query", query, 1)
    _check_count("max_way", max_way, MIN_WAY)
    if way is not None:
        _check_count("way", way, 2)
    if shot is None:
        _check_count("max_support", max_support, way or max_way)
    else:
        _check_count("shot", shot, 1)
    # PCG64 by name, because the default generator of NumPy may change.
    rng = np.random.Generator(np.random.PCG64([seed, *dataset.name.encode()]))
    pools = _eligible_classes(dataset, way or MIN_WAY, shot, query)

    for _ in range(CLASS_ATTEMPTS):
        pool = pools[rng.integers(len(pools))]
        most = min(max_way, len(pool))
        ways = way or int(rng.integers(MIN_WAY, most, endpoint=True))
        classes = [
            pool[i] for i in rng.choice(len(pool), size=ways, replace=False)
        ]
        items = [dataset.items(name) for name in classes]
        sides = split_items(items, shot=shot, query=query, rng=rng)
        if sides is not None:
            break
    else:
        raise ValueError(
            f"Expected to find {ways} classes of `{dataset.name}` whose "
            "groups can be split into support and query. Received: none in "
            f"{CLASS_ATTEMPTS} draws with shot={shot}, query={query}; try a "
            "smaller way, shot or query"
        )

    support, held_out, queries = sides
    if shot is None:
        shots = shots_per_class(
            [len(x) for x in items],
            [len(x) for x in support],
            beta=rng.uniform(),
            log_weights=rng.uniform(*LOG_WEIGHT_RANGE, size=ways),
            max_support=max_support,
        )
    else:
        shots = [shot] * ways
    return EpisodeItems(
        classes=tuple(classes),
        support=tuple(
            _pick(x, k, rng) for x, k in zip(support, shots, strict=True)
        ),
        query=tuple(_pick(x, queries, rng) for x in held_out),
    )


def shots_per_class(
    images: Sequence[int],
    remaining: Sequence[int],
    *,
    beta: float,
    log_weights: Sequence[float],
    max_support: int = 500,
) -> list[int]:
    """Computes the support images of each class, given the random numbers.

    With n_c images and r_c of them not in the query, in C classes,

        S   = min(max_support, sum_c floor(beta * min(100, r_c) + 1))
        R_c = n_c exp(a_c) / sum_j n_j exp(a_j)
        k_c = min(floor(R_c * (S - C)) + 1, r_c)

    so that every class has an image, and more of them the larger it is.

    Args:
        images: n_c, the images of each class.
        remaining: r_c, those of them that are not in the query.
        beta: Size of the support set, in [0, 1).
        log_weights: a_c, the weight of each class, in [ln 0.5, ln 2].
        max_support: Upper bound of S. At least the number of classes.

    Returns:
        k_c, the support images of each class.
    """
    images, remaining = np.asarray(images), np.asarray(remaining)
    offers = np.floor(beta * np.minimum(MAX_SUPPORT_PER_CLASS, remaining) + 1)
    size = min(max_support, int(offers.sum()))
    weights = images * np.exp(log_weights)
    shares = weights / weights.sum()
    shots = np.floor(shares * (size - len(images))).astype(int) + 1
    return np.minimum(shots, remaining).tolist()


def _eligible_classes(dataset, way, shot, query):
    """Lists, per superclass with enough of them, the classes to draw from."""
    need = (1, 1) if shot is None else (shot, query)
    pools: dict[str | None, list[str]] = {}
    short = []
    for name in dataset.classes:
        items = dataset.items(name)
        sizes = list(collections.Counter(x.group for x in items).values())
        pool = pools.setdefault(dataset.superclass(name), [])
        if can_split(sizes, support=need[0], query=need[1]):
            pool.append(name)
        else:
            short.append(f"{name} ({len(items)} in {len(sizes)} groups)")
    enough = [pool for pool in pools.values() if len(pool) >= way]
    if enough:
        return enough
    inside = f"one of its {len(pools)} superclasses" if len(pools) > 1 else "it"
    most = max((len(pool) for pool in pools.values()), default=0)
    raise ValueError(
        f"Expected `{dataset.name}` to have at least {way} classes in {inside} "
        f"with {need[0]} support and {need[1]} query images each, in separate "
        f"groups. Received: {most} of {len(dataset.classes)} classes; too "
        f"few images in: {_listed(short) if short else 'none'}. Give a "
        "smaller `way`, `shot` or `query`"
    )


def _pick(items, count, rng):
    """Draws `count` of the items without replacement."""
    chosen = rng.choice(len(items), size=count, replace=False)
    return tuple(items[i] for i in chosen)


def _load(dataset, items):
    """Loads the items of each class as `Examples`."""
    labels = np.repeat(np.arange(len(items)), [len(x) for x in items])
    return Examples(dataset.load([x for i in items for x in i]), labels)


def _check_count(name, value, least):
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or value < least
    ):
        raise ValueError(
            f"Expected `{name}` to be an integer of at least {least}. "
            f"Received: {name}={value!r}"
        )


def _listed(values, limit=8):
    """Joins the first few values for a message."""
    text = ", ".join(str(x) for x in values[:limit])
    more = len(values) - limit
    return f"{text} and {more} more" if more > 0 else text
