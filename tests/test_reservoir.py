"""Laws of a bounded sample of a stream."""

import collections

import numpy as np
import pytest

from keras_tinytrain.reservoir import Reservoir

BOTH = pytest.mark.parametrize("balanced", [True, False])


def fill(labels, capacity, **options):
    """Shows a reservoir the numbers 0, 1, ... with these labels."""
    reservoir = Reservoir(capacity, **options)
    for number, label in enumerate(labels):
        reservoir.add(np.array([number], np.int16), label)
    return reservoir


def stream(seed, length=200):
    """Labels in bursts, some classes rare and one late."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, length, p=[0.7, 0.25, 0.05])
    labels[length // 2 :][rng.random(length - length // 2) < 0.3] = 3
    return labels


@BOTH
def test_it_is_bounded_and_keeps_all_that_fits(balanced):
    labels = stream(0)
    for end in (1, 4, 5, 6, 50, 200):
        reservoir = fill(labels[:end], 5, balanced=balanced)
        assert len(reservoir) == min(end, 5)
        assert reservoir.nbytes == 5 * 2
        numbers = reservoir.samples[:, 0]
        assert len(set(numbers)) == len(numbers)
        np.testing.assert_array_equal(reservoir.labels, labels[numbers])
    assert len(Reservoir(5).samples) == Reservoir(5).nbytes == 0


@BOTH
def test_a_seed_gives_the_same_samples(balanced):
    first, second, other = (
        fill(stream(0), 10, balanced=balanced, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.samples, second.samples)
    np.testing.assert_array_equal(first.draw(4)[0], second.draw(4)[0])
    assert set(first.samples.ravel()) != set(other.samples.ravel())


def test_every_sample_is_equally_likely():
    """20 samples, 5 places: each is kept in a quarter of 4,000 streams."""
    counts = np.zeros(20)
    for seed in range(4000):
        found = fill([0, 1] * 10, 5, balanced=False, seed=seed)
        counts[found.samples[:, 0]] += 1
    spread = (4000 * 0.25 * 0.75) ** 0.5
    assert counts.sum() == 4000 * 5
    np.testing.assert_allclose(counts, 1000, atol=4.5 * spread)


def test_every_sample_of_a_class_is_equally_likely():
    """Early ones of the large class and late ones, with others between."""
    labels = np.array([0] * 8 + [1] * 3 + [0] * 6 + [1] * 2 + [0] * 4)
    counts, kept = np.zeros(len(labels)), collections.Counter()
    for seed in range(4000):
        found = fill(labels, 6, seed=seed)
        counts[found.samples[:, 0]] += 1
        kept.update(found.labels.tolist())
    for label in (0, 1):
        mine = counts[labels == label]
        share = kept[label] / 4000 / len(mine)
        spread = (4000 * share * (1 - share)) ** 0.5
        np.testing.assert_allclose(mine, mine.mean(), atol=4.5 * spread)


@pytest.mark.parametrize("seed", range(8))
def test_classes_are_balanced_at_any_time(seed):
    """Equally large but for one, or everything that there was of a class."""
    labels = stream(seed)
    reservoir = Reservoir(12, seed=seed)
    for end, label in enumerate(labels, 1):
        reservoir.add(np.zeros(3, np.int8), label)
        if end < 12:
            continue
        counts = np.bincount(reservoir.labels, minlength=4)
        seen = np.bincount(labels[:end], minlength=4)
        assert counts.sum() == 12
        for count, all_of_it in zip(counts, seen):
            assert count == all_of_it or count >= counts.max() - 1


def test_a_class_that_comes_late_gets_its_share():
    late = fill([0, 1] * 100 + [2] * 30, 30)
    assert sorted(np.bincount(late.labels)) == [10, 10, 10]
    plain = fill([0, 1] * 100 + [2] * 30, 30, balanced=False)
    assert np.bincount(plain.labels, minlength=3)[2] < 10


def test_draws_are_different_samples():
    reservoir = fill(range(6), 10)
    samples, labels = reservoir.draw(4)
    assert len(set(samples.ravel())) == 4
    np.testing.assert_array_equal(samples[:, 0], labels)
    assert len(reservoir.draw(9)[0]) == 6
    counts = np.zeros(6)
    for _ in range(2000):
        counts[reservoir.draw(2)[1]] += 1
    np.testing.assert_allclose(counts, 2000 / 3, atol=4.5 * 444**0.5)


def test_what_does_not_fit_is_refused():
    for capacity in (0, -1, 2.0):
        with pytest.raises(ValueError, match="Expected capacity"):
            Reservoir(capacity)
    reservoir = fill([0], 2)
    for sample in (np.zeros(2, np.int16), np.zeros(1, np.int8)):
        with pytest.raises(ValueError, match=r"Expected a sample of shape"):
            reservoir.add(sample, 0)
    for label in (-1, 0.5, "person"):
        with pytest.raises(ValueError, match="Expected a label"):
            reservoir.add(np.zeros(1, np.int16), label)
    assert len(reservoir) == 1
