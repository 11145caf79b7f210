"""Splits groups of images in two, so that no group is on both sides.

A group is a set of images that show the same thing: the frames of one drive
past one traffic sign, the boxes cut from one photograph. Were one of them to
teach and another to test, the test would measure memory. Here are only
counts; `episodes` knows what they count.
"""

import collections
from collections.abc import Mapping, Sequence

import numpy as np

# Orders tried before a split is called impossible. The first is enough
# whenever no group holds images of several classes; see `split_groups`.
SPLIT_ATTEMPTS = 50


def subset_sums(sizes: Sequence[int]) -> int:
    """Returns an integer whose bit t is 1 when some groups hold t images.

    Args:
        sizes: The number of images of each group.

    Example:

    >>> bin(subset_sums([2, 3]))  # 0, 2, 3 and 5
    '0b101101'
    """
    sums = 1
    for size in sizes:
        sums |= sums << size
    return sums


def can_split(sizes: Sequence[int], *, support: int, query: int) -> bool:
    """Whether groups can be split into sides of `support` and `query` images.

    Args:
        sizes: The number of images of each group of one class.
        support: Least number of images on the support side.
        query: Least number of images on the query side.

    Returns:
        True when a subset of the groups holds at least `query` images and
        the others at least `support`.
    """
    spare = sum(sizes) - support - query
    return _reaches(subset_sums(sizes), query, query + spare)


def largest_half(sizes: Sequence[int]) -> int:
    """Returns the largest q such that both sides can have q images.

    With one image per group this is `n // 2`, the bound of Meta-Dataset on
    the query images of a class of n images.

    Args:
        sizes: The number of images of each group of one class.
    """
    half = sum(sizes) // 2
    return next(
        q for q in range(half, -1, -1) if can_split(sizes, support=q, query=q)
    )


def split_items(
    items: Sequence[Sequence],
    *,
    shot: int | None,
    query: int,
    rng: np.random.Generator,
) -> tuple[list[list], list[list], int] | None:
    """Splits the items of each class into those for support and for query.

    Args:
        items: For each class its items, each with a `group`.
        shot: Support items needed of each class. When None, as many as query
            items, at least.
        query: Query items needed of each class. When `shot` is None an upper
            bound: half of the smallest class is enough.
        rng: Source of randomness.

    Returns:
        `(support, held_out, query)`: for each class the items that may serve
        on either side, and the query items that each class can give. None
        when no split was found.
    """
    members: dict = {}
    for label, class_items in enumerate(items):
        for item in class_items:
            members.setdefault(item.group, collections.Counter())[label] += 1
    counts = list(members.values())
    if shot is None:
        sizes = [[x[c] for x in counts if c in x] for c in range(len(items))]
        most = min(query, *(largest_half(x) for x in sizes))
        # Half of each class may be out of reach of all classes at once, when
        # they share groups. Then the query is the largest that is found.
        trials = [(q, q) for q in range(most, 0, -1)]
    else:
        trials = [(shot, query)]
    for least, queries in trials:
        found = split_groups(counts, support=least, query=queries, rng=rng)
        if found is not None:
            in_query = dict(zip(members, found, strict=True))
            return (
                [[x for x in i if not in_query[x.group]] for i in items],
                [[x for x in i if in_query[x.group]] for i in items],
                queries,
            )
    return None


def split_groups(
    members: Sequence[Mapping[int, int]],
    *,
    support: int,
    query: int,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """Splits groups at random so that each class has enough on both sides.

    The query side is kept minimal: without any one of its groups some class
    would fall short. A split is found whenever there is one, as long as each
    group holds images of a single class. With groups of several classes the
    search is a random one, and may miss a split that is hard to find.

    Args:
        members: For each group, the number of its images by class index.
        support: Least number of images of each class on the support side.
        query: Least number of images of each class on the query side.
        rng: Source of randomness.

    Returns:
        A boolean array `(groups,)`, True for the groups of the query side, or
        None when no split was found.
    """
    for _ in range(SPLIT_ATTEMPTS):
        order = rng.permutation(len(members))
        in_query = _split_in_order(members, order, support, query)
        if in_query is not None:
            return in_query
        if all(len(counts) == 1 for counts in members):
            return None  # Another order cannot help.
    return None


def _split_in_order(members, order, support, query):
    """Gives each group in turn to the query side while a class needs it."""
    totals: dict[int, int] = {}
    # later[c][-1]: what the groups of class c still to come can add up to.
    later: dict[int, list[int]] = {}
    for group in reversed(order):
        for c, count in members[group].items():
            sums = later.setdefault(c, [1])
            sums.append(sums[-1] | sums[-1] << count)
            totals[c] = totals.get(c, 0) + count

    held = dict.fromkeys(totals, 0)  # Images of each class in the query.
    in_query = np.zeros(len(members), dtype=bool)

    def leaves_a_way(counts, taken):
        return all(
            _reaches(
                later[c][-1],
                query - held[c] - taken * counts[c],
                totals[c] - support - held[c] - taken * counts[c],
            )
            for c in counts
        )

    for group in order:
        counts = members[group]
        for c in counts:
            later[c].pop()
        wanted = any(held[c] < query for c in counts)
        choices = (True, False) if wanted else (False, True)
        choice = next((x for x in choices if leaves_a_way(counts, x)), None)
        if choice is None:
            return None
        if choice:
            in_query[group] = True
            for c, count in counts.items():
                held[c] += count

    for group in order:
        counts = members[group]
        if in_query[group] and all(
            held[c] - count >= query for c, count in counts.items()
        ):
            in_query[group] = False
            for c, count in counts.items():
                held[c] -= count
    return in_query


def _reaches(sums: int, least: int, most: int) -> bool:
    """Whether `subset_sums` has a sum in [least, most]."""
    least = max(least, 0)
    if most < least:
        return False
    return (sums >> least) & ((1 << (most - least + 1)) - 1) != 0
