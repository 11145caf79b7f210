import numpy as np
import pytest
import tensorflow as tf

from keras_tinytrain.meta import STYLES, Recipe
from keras_tinytrain.meta.styles import (
    apply_style,
    edges,
    false_colours,
    grey,
    invert,
    sketch,
)
from keras_tinytrain.meta.views import (
    clean_views,
    jitter,
    random_boxes,
    random_views,
)

SEED = tf.constant([3, 5])
PLAIN = Recipe(crop=1.0, jitter=0.0, flip=0.0)


@pytest.fixture(scope="module")
def store():
    rng = np.random.default_rng(0)
    return tf.constant(rng.integers(0, 256, (6, 12, 12, 3)).astype("uint8"))


def test_without_changes_a_view_is_the_image(store):
    indices = tf.constant([4, 1, 1])
    for views in (
        clean_views(store, indices, (12, 12)),
        random_views(store, indices, SEED, (12, 12), PLAIN),
    ):
        assert views.dtype == tf.uint8
        np.testing.assert_array_equal(views, store.numpy()[[4, 1, 1]])


def test_mirrored_images(store):
    recipe = Recipe(crop=1.0, jitter=0.0, flip=1.0)
    views = random_views(store, tf.range(6), SEED, (12, 12), recipe)
    np.testing.assert_array_equal(views, store.numpy()[:, :, ::-1])


def test_views_follow_the_seed_alone(store):
    recipe = Recipe(styles={"sketch": 1.0})
    first, again, other = (
        random_views(store, tf.range(6), tf.constant(seed), (16, 8), recipe)
        for seed in ([0, 1], [0, 1], [0, 2])
    )
    assert first.shape == (6, 16, 8, 3)
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_crops_are_inside_and_not_too_small():
    recipe = Recipe(crop=0.2, flip=0.25)
    boxes = random_boxes(tf.constant(4000), SEED, recipe).numpy()
    assert boxes.min() >= 0
    assert boxes.max() <= 1 + 1e-6
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert np.mean(width < 0) == pytest.approx(0.25, abs=0.03)
    ratio = np.abs(width) / height
    assert ratio.min() >= 3 / 4 - 1e-5
    assert ratio.max() <= 4 / 3 + 1e-5
    area = height * np.abs(width)
    # A crop that is wider than the image loses some of its area.
    assert area.min() >= 0.2 * 3 / 4
    whole = (height < 0.999) & (np.abs(width) < 0.999)
    assert area[whole].min() >= 0.2 - 1e-5
    assert area[whole].mean() == pytest.approx(0.5, abs=0.1)


def test_jitter_of_a_flat_grey_image_is_its_brightness():
    """Saturation and contrast leave it alone."""
    images = tf.fill([2000, 1, 1, 3], 100.0)
    values = jitter(images, SEED, 0.4).numpy()
    assert np.ptp(values, axis=-1).max() < 1e-3
    assert 60 - 1e-3 <= values.min() < 63
    assert 137 < values.max() <= 140 + 1e-3


def test_inverted_and_grey_by_hand():
    images = tf.constant([[[[255.0, 0.0, 10.0]]]])
    np.testing.assert_allclose(invert(images, SEED)[0, 0, 0], [0, 255, 245])
    # 0.299 * 255 + 0.114 * 10.
    expected = [77.385] * 3
    np.testing.assert_allclose(grey(images, SEED)[0, 0, 0], expected, rtol=1e-5)


def step_image():
    """Dark on the left, bright on the right."""
    image = np.full((1, 8, 8, 3), 50.0, np.float32)
    image[:, :, 4:] = 200
    return tf.constant(image)


def test_edges_are_where_brightness_changes():
    found = edges(step_image(), SEED).numpy()[0, 4, :, 0]
    np.testing.assert_allclose(found, [0, 0, 0, 255, 255, 0, 0, 0], atol=1e-3)
    flat = edges(tf.fill([1, 8, 8, 3], 7.0), SEED)
    np.testing.assert_allclose(flat, 0.0, atol=1e-3)


def test_sketches_are_strokes_of_either_kind():
    kinds = set()
    for seed in range(8):
        found = sketch(step_image(), tf.constant([0, seed])).numpy()[0, 4]
        stroke, ground = found[3, 0], found[0, 0]
        kinds.add(stroke > ground)
        assert abs(stroke - ground) > 200
        assert np.ptp(found, axis=-1).max() == 0
    assert kinds == {True, False}


def test_false_colours_mix_channels_and_keep_grey_levels_apart():
    images = tf.constant([[[[200.0, 60.0, 60.0]]], [[[200.0, 60.0, 60.0]]]])
    found = false_colours(images, SEED).numpy()
    assert found.min() >= 0
    assert found.max() <= 255
    assert np.abs(found[0] - found[1]).max() > 5  # Each its own.
    middle = tf.fill([1, 2, 2, 3], 127.5)
    np.testing.assert_allclose(false_colours(middle, SEED), middle)


@pytest.mark.parametrize("style", STYLES)
def test_a_sure_style_is_applied_to_all_images(style):
    images = tf.random.stateless_uniform([3, 8, 8, 3], SEED, 0, 255)
    found = apply_style(images, SEED, {style: 1.0})
    assert all(np.abs(found[i] - images[i]).max() > 1 for i in range(3))
    assert found.shape == images.shape


def test_styles_are_as_frequent_as_told():
    images = tf.constant([[[[250.0, 0.0, 0.0]]]])
    styles = {"grey": 0.3, "invert": 0.5}
    found = [
        apply_style(images, tf.constant([1, seed]), styles).numpy().ravel()
        for seed in range(300)
    ]
    plain = np.mean([f[0] == 250 for f in found])
    inverted = np.mean([f[0] == 5 for f in found])
    assert plain == pytest.approx(0.2, abs=0.07)
    assert inverted == pytest.approx(0.5, abs=0.09)
