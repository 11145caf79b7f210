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
    """Moves repeat the border, and there is no contrast to change."""
    plain = np.full((8, 16, 16, 3), 0.25, "float32")
    views = view(plain)
    np.testing.assert_allclose(views, views[:, :1, :1, :1] + 0 * views, 1e-5)
    change = np.abs(views[:, 0, 0, 0] - 0.25)
    assert 0 < change.max() <= 2 * augmentation.BRIGHTNESS + 1e-6


@pytest.fixture
def still(monkeypatch):
    """Views without any change, of which tests switch one on."""
    for name in ("SHIFT", "TURN", "BRIGHTNESS", "CONTRAST", "SATURATION"):
        monkeypatch.setattr(augmentation, name, 0.0)
    monkeypatch.setattr(augmentation, "SIZE", 1.0)
    return monkeypatch


def ramp(axis):
    """Twelve images whose value is the row, or the column."""
    values = np.arange(16.0, dtype="float32")
    values = values[:, None] if axis == 0 else values[None]
    return np.broadcast_to(values[None, ..., None], (12, 16, 16, 1))


def moved(axis):
    return view(ramp(axis), low=-1e3, high=1e3)[..., 0]


def test_without_change_a_view_is_the_image(still):
    np.testing.assert_allclose(moved(0), ramp(0)[..., 0], atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shift_reads_elsewhere_and_repeats_the_border(still, axis):
    still.setattr(augmentation, "SHIFT", 0.25)
    views = moved(axis) if axis else moved(axis).swapaxes(1, 2)
    by = views[:, 0, 8] - 8.0
    assert 1.0 < np.abs(by).max() <= 4.0
    expected = np.clip(np.arange(16.0) + by[:, None], 0.0, 15.0)
    expected = np.broadcast_to(expected[:, None], views.shape)
    np.testing.assert_allclose(views, expected, atol=1e-3)


def test_a_turn_keeps_the_middle_and_angles(still):
    still.setattr(augmentation, "TURN", 0.3)
    rows, columns = moved(0)[:, 6:10, 6:10], moved(1)[:, 6:10, 6:10]
    for values in (rows, columns):
        np.testing.assert_allclose(values.mean(axis=(1, 2)), 7.5, atol=1e-3)
    # One step to the right reads (cos, sin) further, one step down (-sin, cos).
    cos, sin = (np.diff(v, axis=2)[:, 0, 0] for v in (columns, rows))
    np.testing.assert_allclose(cos**2 + sin**2, 1.0, atol=1e-3)
    assert 0.1 < np.abs(sin).max() <= np.sin(0.3) + 1e-3
    np.testing.assert_allclose(np.diff(columns, axis=1)[:, 0, 0], -sin, 0, 1e-3)


def test_a_change_of_size_keeps_the_middle(still):
    still.setattr(augmentation, "SIZE", 1.5)
    columns = moved(1)[:, 6:10, 6:10]
    np.testing.assert_allclose(columns.mean(axis=(1, 2)), 7.5, atol=1e-3)
    scale = np.diff(columns, axis=2)[:, 0, 0]
    assert 1 / 1.5 - 1e-3 <= scale.min() < 0.9
    assert 1.1 < scale.max() <= 1.5 + 1e-3


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
