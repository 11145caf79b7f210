import itertools

import numpy as np
import pytest

from keras_tinytrain.grouping import (
    can_split,
    largest_half,
    split_groups,
    subset_sums,
)


def all_splits(members, support, query):
    """Every way to choose the query groups, by exhaustive search."""
    classes = {c for counts in members for c in counts}
    for in_query in itertools.product([False, True], repeat=len(members)):
        sides = [
            {
                c: sum(
                    m.get(c, 0)
                    for m, q in zip(members, in_query, strict=True)
                    if q == side
                )
                for c in classes
            }
            for side in (False, True)
        ]
        if all(
            sides[0][c] >= support and sides[1][c] >= query for c in classes
        ):
            yield in_query


def test_subset_sums_by_hand():
    assert subset_sums([]) == 0b1
    assert subset_sums([2, 3]) == 0b101101


def test_largest_half_by_hand():
    assert largest_half([1] * 7) == 3
    assert largest_half([18] * 5) == 36
    assert largest_half([10, 1, 1]) == 2
    assert largest_half([4]) == 0


def test_split_of_one_class_equals_exhaustive_search():
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(150):
        sizes = rng.integers(1, 7, size=rng.integers(1, 8)).tolist()
        support, query = rng.integers(1, 9, size=2).tolist()
        members = [{0: size} for size in sizes]
        possible = set(all_splits(members, support, query))
        split = split_groups(members, support=support, query=query, rng=rng)
        assert can_split(sizes, support=support, query=query) == bool(possible)
        assert (split is not None) == bool(possible)
        assert split is None or tuple(split.tolist()) in possible
        found.add(bool(possible))
    assert found == {False, True}


def test_split_with_shared_groups_is_one_of_the_possible():
    rng = np.random.default_rng(1)
    found = missed = 0
    for _ in range(60):
        members = [
            {int(c): int(rng.integers(1, 4)) for c in rng.permutation(3)[:k]}
            for k in rng.integers(1, 4, size=8)
        ]
        possible = set(all_splits(members, 2, 2))
        split = split_groups(members, support=2, query=2, rng=rng)
        if split is not None:
            assert tuple(split.tolist()) in possible
            found += 1
        elif possible:
            missed += 1
    assert found > 20
    assert missed == 0


def test_query_side_is_minimal():
    members = [{0: 3}] * 10
    for seed in range(20):
        rng = np.random.default_rng(seed)
        split = split_groups(members, support=1, query=10, rng=rng)
        assert split.sum() == 4


@pytest.mark.parametrize("size", [1, 2])
def test_each_group_is_as_likely_in_the_query(size):
    rng = np.random.default_rng(2)
    members = [{0: size}] * 6
    draws = [
        split_groups(members, support=size, query=2 * size, rng=rng)
        for _ in range(1200)
    ]
    # 400 each, with a standard deviation of 16.
    np.testing.assert_allclose(np.sum(draws, axis=0), 400, atol=80)
