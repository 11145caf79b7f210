import numpy as np
import pytest

from keras_tinytrain.examples import Examples, check_examples


def make(labels, shape=(2, 2, 3), dtype="float32"):
    labels = np.asarray(labels)
    return Examples(np.zeros((len(labels), *shape), dtype), labels)


def test_way_counts_distinct_labels():
    examples = make([1, 0, 1, 2])
    assert len(examples) == 4
    assert examples.way == 3


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "int32"])
def test_a_good_support_set_is_returned_as_it_is(dtype):
    examples = make([1, 0, 1], dtype=dtype)
    assert check_examples(examples, channels=3) is examples


def test_a_query_set_may_lack_classes():
    check_examples(make([3, 3]), way=4)


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (make(np.zeros(0, int)), "0 images"),
        (make([0, 0]), "only the label 0"),
        (make([0.0, 1.0]), "float64"),
        (make([False, True]), "bool"),
        (make(["cat", "dog"]), "labels.dtype"),
        (make([-1, 0, 1]), "labels -1, 0, 1"),
        (make([0, 2]), "labels 0, 2"),
        (make([1, 2]), "labels 1, 2"),
        (make([[0], [1]]), r"labels.shape=\(2, 1\)"),
        (make([0, 1], shape=(2, 2)), r"images.shape=\(2, 2, 2\)"),
        (make([0, 1], shape=(2, 2, 1)), r"\(2, 2, 2, 1\)"),
        (make([0, 1], shape=(0, 2, 3)), r"\(2, 0, 2, 3\)"),
        (make([0, 1], dtype="complex64"), "complex64"),
        (make([0, 1], dtype="bool"), "images.dtype=bool"),
        (Examples(np.zeros((3, 2, 2, 3)), np.array([0, 1])), "3 images and 2"),
    ],
)
def test_bad_examples_are_refused(examples, words):
    with pytest.raises(ValueError, match=f"Expected .*Received: .*{words}"):
        check_examples(examples, channels=3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_bad_image_is_named(value):
    examples = make([0, 1, 0, 1])
    examples.images[2, 1, 0, 2] = value
    with pytest.raises(ValueError, match="1 of 4 images, the first at index 2"):
        check_examples(examples)


@pytest.mark.parametrize("labels", [[0, 4], [-1, 2]])
def test_query_labels_stay_below_way(labels):
    with pytest.raises(ValueError, match="Expected labels from 0 to 3"):
        check_examples(make(labels), way=4)
