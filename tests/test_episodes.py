import dataclasses
import math

import numpy as np
import pytest

from keras_tinytrain.episodes import (
    Item,
    check_examples,
    draw_episode,
    sample_episode,
    shots_per_class,
)


@dataclasses.dataclass
class Counted:
    """A dataset of given group sizes; each image holds its own number."""

    sizes: dict[str, list[int]]
    name: str = "counted"
    superclasses: dict[str, str] = dataclasses.field(default_factory=dict)
    shared: bool = False  # Groups of equal position are one, in all classes.

    def __post_init__(self):
        self.classes = tuple(self.sizes)
        self.loaded = 0

    def items(self, class_name):
        owner = "" if self.shared else class_name
        first = 1000 * self.classes.index(class_name)
        groups = np.repeat(
            np.arange(len(self.sizes[class_name])), self.sizes[class_name]
        )
        return [
            Item(first + i, f"{owner}/{group}")
            for i, group in enumerate(groups)
        ]

    def superclass(self, class_name):
        return self.superclasses.get(class_name)

    def load(self, items):
        self.loaded += len(items)
        keys = np.array([item.key for item in items])
        return np.tile(keys.reshape(-1, 1, 1, 1), (1, 2, 2, 1))


def plain(classes, images, **kwargs):
    """`classes` classes of `images` images, each a group of its own."""
    return Counted({f"c{i}": [1] * images for i in range(classes)}, **kwargs)


def assert_no_group_is_shared(drawn):
    support = {item.group for items in drawn.support for item in items}
    query = {item.group for items in drawn.query for item in items}
    assert not support & query


def test_shots_by_hand():
    # Offers floor(0.5 * 25 + 1) = 13 and floor(0.5 * 5 + 1) = 3: S = 16.
    # Shares 3/4 and 1/4 of S - 2 = 14: floor(10.5) + 1 and floor(3.5) + 1.
    shots = shots_per_class([30, 10], [25, 5], beta=0.5, log_weights=[0, 0])
    assert shots == [11, 4]


def test_shots_obey_the_largest_support_set():
    # Shares of 12 - 2 = 10: floor(7.5) + 1 and floor(2.5) + 1.
    shots = shots_per_class(
        [30, 10], [25, 5], beta=0.5, log_weights=[0, 0], max_support=12
    )
    assert shots == [8, 3]


def test_shots_obey_weights_and_the_images_that_remain():
    # Offers 13 and floor(6.0): S = 19. Weights 30 / 2 and 15 * 2, so shares
    # of 17 are 5.67 and 11.33; the second class has but 10.
    weights = [math.log(0.5), math.log(2.0)]
    shots = shots_per_class([30, 15], [25, 10], beta=0.5, log_weights=weights)
    assert shots == [6, 10]


def test_one_class_adds_at_most_100_to_the_support_size():
    # Offers floor(0.5 * 100 + 1) = 51 and 6: S = 57; shares of 55 are
    # 55 * 600 / 620 = 53.2 and 1.8.
    shots = shots_per_class([600, 20], [590, 10], beta=0.5, log_weights=[0, 0])
    assert shots == [54, 2]


def test_various_way_various_shot_statistics():
    # Class i has 12 + i images, so that the query depends on the classes.
    sizes = {f"c{i}": [1] * (12 + i) for i in range(60)}
    dataset = Counted(sizes)
    ways, totals, uneven = [], [], 0
    for seed in range(300):
        drawn = draw_episode(dataset, seed=seed)
        smallest = min(len(sizes[name]) for name in drawn.classes)
        assert {len(x) for x in drawn.query} == {min(10, smallest // 2)}
        shots = [len(x) for x in drawn.support]
        assert min(shots) >= 1
        assert len(set(drawn.classes)) == len(shots)
        ways.append(len(shots))
        totals.append(sum(shots))
        uneven += len(set(shots)) > 1
        assert_no_group_is_shared(drawn)
    assert min(ways) == 5
    assert max(ways) == 50
    # Uniform on 5..50: mean 27.5, standard error 0.8.
    assert abs(np.mean(ways) - 27.5) < 3
    assert max(totals) <= 500
    assert uneven > 250


def test_settings_bound_way_query_and_support():
    dataset = plain(30, 40)
    for seed in range(50):
        drawn = draw_episode(
            dataset, seed=seed, query=3, max_way=7, max_support=20
        )
        assert 5 <= len(drawn.classes) <= 7
        assert {len(x) for x in drawn.query} == {3}
        assert sum(len(x) for x in drawn.support) <= 20


def test_fixed_way_and_shot_are_exact():
    dataset = plain(20, 30)
    episode = sample_episode(dataset, seed=3, way=7, shot=4, query=6)
    check_examples(episode.support, channels=1)
    check_examples(episode.query, way=7, channels=1)
    assert np.bincount(episode.support.labels).tolist() == [4] * 7
    assert np.bincount(episode.query.labels).tolist() == [6] * 7
    assert episode.dataset == "counted"
    # Only what is in the episode was loaded, and each image once.
    images = np.concatenate([episode.support.images, episode.query.images])
    assert dataset.loaded == len(np.unique(images)) == 7 * 10
    # Labels point at `classes`: the number of an image tells its class.
    for examples in (episode.support, episode.query):
        owners = examples.images[:, 0, 0, 0] // 1000
        names = [dataset.classes[i] for i in owners]
        assert names == [episode.classes[i] for i in examples.labels]


@pytest.mark.parametrize("fixed", [{}, {"way": 6}, {"shot": 2}])
def test_the_same_seed_gives_the_same_episode(fixed):
    first, again, other, elsewhere = (
        draw_episode(plain(20, 30, name=name), seed=seed, **fixed)
        for name, seed in (("a", 7), ("a", 7), ("a", 8), ("b", 7))
    )
    assert first == again
    assert first != other
    assert first.support != elsewhere.support


def test_global_random_state_is_neither_used_nor_moved():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draw_episode(plain(6, 30), seed=0)
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("fixed", [{}, {"way": 5, "shot": 5}])
def test_groups_of_one_class_are_not_shared(fixed):
    dataset = Counted({f"c{i}": [3] * 4 + [9, 2, 12] for i in range(12)})
    for seed in range(100):
        drawn = draw_episode(dataset, seed=seed, **fixed)
        assert_no_group_is_shared(drawn)
        assert {len(x) for x in drawn.query} == {10}


@pytest.mark.parametrize("fixed", [{}, {"way": 5, "shot": 4, "query": 3}])
def test_groups_of_several_classes_are_not_shared(fixed):
    dataset = Counted({f"c{i}": [1, 2] * 5 for i in range(12)}, shared=True)
    for seed in range(100):
        assert_no_group_is_shared(draw_episode(dataset, seed=seed, **fixed))


def test_counts_are_exact_when_one_split_alone_allows_them():
    # 10 for the query and 80 for the support of 90, in groups of 2 and 4.
    dataset = Counted({f"c{i}": [2] + [4] * 22 for i in range(5)})
    drawn = draw_episode(dataset, seed=0, way=5, shot=80, query=10)
    assert {len(x) for x in drawn.support} == {80}
    assert_no_group_is_shared(drawn)


def test_an_episode_stays_inside_one_superclass():
    dataset = plain(30, 20)
    dataset.superclasses = {
        name: "abc"[i % 3] for i, name in enumerate(dataset.classes)
    }
    seen = set()
    for seed in range(40):
        drawn = draw_episode(dataset, seed=seed)
        (alphabet,) = {dataset.superclasses[x] for x in drawn.classes}
        assert len(drawn.classes) <= 10
        seen.add(alphabet)
    assert seen == {"a", "b", "c"}


def test_classes_with_too_few_images_are_passed_over():
    dataset = Counted({f"c{i}": [1] * (20 if i % 2 else 7) for i in range(12)})
    for seed in range(20):
        drawn = draw_episode(dataset, seed=seed, way=6, shot=5)
        assert all(int(name[1:]) % 2 for name in drawn.classes)


@pytest.mark.parametrize(
    ("dataset", "settings", "words"),
    [
        (plain(4, 20), {}, "at least 5 classes.*Received: 4 of 4"),
        (plain(6, 20), {"way": 7, "shot": 1}, "at least 7.*Received: 6 of 6"),
        (plain(6, 9), {"way": 5, "shot": 5}, r"0 of 6.*c0 \(9 in 9 groups\)"),
        (
            Counted({f"c{i}": [20] for i in range(5)}),
            {},
            r"c0 \(20 in 1 groups\)",
        ),
        # Each class can be split 2 to 2, but not all of them at once.
        (
            Counted(
                {"a": [2, 1, 1], "b": [1, 2, 1], "c": [1, 1, 2]}, shared=True
            ),
            {"way": 3, "shot": 2, "query": 2},
            "groups can be split.*shot=2, query=2",
        ),
    ],
)
def test_impossible_episodes_are_refused(dataset, settings, words):
    with pytest.raises(ValueError, match=words):
        draw_episode(dataset, seed=0, **settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", 0.5),
        ("seed", None),
        ("way", 1),
        ("way", 5.0),
        ("shot", 0),
        ("shot", True),
        ("query", 0),
        ("max_way", 4),
        ("max_support", 49),
    ],
)
def test_bad_settings_are_refused(name, value):
    settings = {"seed": 0, name: value}
    with pytest.raises(ValueError, match=f"Expected `{name}`.*Received"):
        sample_episode(plain(6, 30), **settings)
