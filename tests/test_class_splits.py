import pytest

from keras_tinytrain.class_splits import choose_classes, official

# Numbers of classes for training, validation and test: Meta-Dataset, and
# alphabets of Omniglot.
SIZES = {
    "aircraft": (70, 15, 15),
    "cub": (140, 30, 30),
    "dtd": (33, 7, 7),
    "flower": (71, 15, 16),
    "fungi": (994, 200, 200),
    "mscoco": (0, 40, 40),
    "omniglot": (25, 5, 20),
    "quickdraw": (241, 52, 52),
    "traffic_sign": (0, 0, 43),
}


@pytest.mark.parametrize("name", SIZES)
def test_every_class_is_in_one_split(name):
    splits = official(name)
    sizes = tuple(len(splits[x]) for x in ("train", "valid", "test"))
    assert sizes == SIZES[name]
    classes = [x for names in splits.values() for x in names]
    if name == "omniglot":
        classes = [f"{x}-character01" for x in classes]
    chosen = [
        choose_classes(name, classes, x) for x, names in splits.items() if names
    ]
    assert sorted(x for names in chosen for x in names) == sorted(classes)
    assert sorted(map(len, chosen)) == sorted(n for n in sizes if n)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("cub", "008.Rhinoceros_Auklet"),
        ("cub", "Rhinoceros_Auklet"),
        ("cub", "008"),
        ("mscoco", "stop_sign"),
        ("aircraft", "Boeing_717"),
        ("traffic_sign", "07"),
        ("traffic_sign", "7"),
        ("omniglot", "Syriac_Serto-character12"),
        ("omniglot", "Syriac_(Serto)-character12"),
    ],
)
def test_names_may_be_written_differently(name, written):
    assert choose_classes(name, (written,), "test") == (written,)


def test_the_order_stays():
    classes = ("woven", "dotted", "banded", "gauzy")
    assert choose_classes("dtd", classes, "test") == ("woven", "banded")


@pytest.mark.parametrize(
    ("name", "classes", "split", "words"),
    [
        ("dtd", ["woven"], "tests", "one of train, valid, test.*'tests'"),
        ("vww", ["person"], "test", "`vww`, which has no such splits"),
        ("dtd", ["woven", "wool"], "test", "1 other names, wool; leave"),
        ("dtd", ["woven"], "valid", "1 classes, all of test"),
        ("omniglot", ["Greek"], "train", "1 other names, Greek"),
    ],
)
def test_impossible_choices_are_refused(name, classes, split, words):
    with pytest.raises(ValueError, match=words):
        choose_classes(name, classes, split)
