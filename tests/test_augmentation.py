import numpy as np
import pytest
import tensorflow as tf

from keras_tinytrain import augmentation
from keras_tinytrain.augmentation import augment, value_range

SEED = (3, 5)


def images(count=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.0, 1.0, (count, 16, 16, 3)).astype("float32")


def view(pictures, seed=SEED, low=-1.0, high=1.0):
    return augment(pictures, tf.constant(seed), low, high).numpy()


def test_the_same_seed_gives_the_same_views():
    pictures = images()
    np.testing.assert_array_equal(view(pictures), view(pictures))
    assert (view(pictures) != view(pictures, (3, 6))).any()


def test_every_image_gets_its_own_change():
    pictures = np.repeat(images(1), 3, axis=0)
    first, second, third = view(pictures)
    assert (first != second).any()
    assert (second != third).any()


def test_values_stay_in_range():
    views = view(images(32))
    assert views.shape == (32, 16, 16, 3)
    assert views.min() >= -1.0
    assert views.max() <= 1.0
    assert np.abs(views - images(32)).mean() > 0.05


def test_a_plain_image_stays_plain_and_changes_brightness_alone():
    """A shift repeats the border, and there is no contrast to change."""
    plain = np.full((8, 16, 16, 3), 0.25, "float32")
    views = view(plain)
    np.testing.assert_allclose(views, views[:, :1, :1, :1] + 0 * views, 1e-6)
    change = np.abs(views[:, 0, 0, 0] - 0.25)
    assert 0 < change.max() <= 2 * augmentation.BRIGHTNESS + 1e-6


def test_a_shift_moves_columns_as_a_whole(monkeypatch):
    monkeypatch.setattr(augmentation, "BRIGHTNESS", 0.0)
    ramp = np.broadcast_to(np.arange(16.0)[None, None, :, None], (8, 16, 16, 1))
    # Grey images of one channel keep their saturation; contrast scales all.
    views = view(ramp.astype("float32"), low=-1e3, high=1e3)
    np.testing.assert_allclose(views, views[:, :1] + 0 * views, atol=1e-4)
    assert (np.diff(views[:, 0, :, 0], axis=1) > -1e-4).all()


def test_bytes_become_floats():
    views = view(np.full((2, 8, 8, 3), 250, "uint8"), low=0.0, high=255.0)
    assert views.dtype == np.float32
    assert views.max() <= 255.0


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        (np.full((1, 2, 2, 3), 7, "uint8"), (0.0, 255.0)),
        (np.linspace(-1, 3, 12).reshape(1, 2, 2, 3), (-1.0, 3.0)),
    ],
)
def test_value_range(pictures, expected):
    assert tuple(float(v) for v in value_range(pictures)) == expected
