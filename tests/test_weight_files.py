import hashlib

import keras
import numpy as np
import pytest

from keras_tinytrain import zoo
from keras_tinytrain.zoo import shipped
from keras_tinytrain.zoo.weight_files import (
    load_weights_file,
    save_weights_file,
)

MOST = 1.5e6  # Bytes of a file that ships.


def values(net):
    return {weight.path: weight.numpy() for weight in net.weights}


@pytest.mark.parametrize("norm", [True, False])
def test_float16_is_near_and_stable(make_net, tmp_path, norm):
    net, path = make_net(norm=norm), tmp_path / "net.npz"
    save_weights_file(net, path)
    other = make_net(norm=norm, seed=1)
    load_weights_file(other, path)
    theirs = values(other)
    for name, value in values(net).items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-3, atol=1e-6)
    # What was rounded once is not rounded again.
    again = tmp_path / "again.npz"
    save_weights_file(other, again)
    load_weights_file(net, again)
    for name, value in values(net).items():
        np.testing.assert_array_equal(theirs[name], value)


def test_int8_is_off_by_half_a_step_at_most(make_net, tmp_path):
    """By output channel, of depthwise kernels too; biases are exact."""
    net, path = make_net(), tmp_path / "net.npz"
    save_weights_file(net, path, dtype="int8")
    other = make_net(seed=1)
    load_weights_file(other, path)
    theirs = values(other)
    for name, value in values(net).items():
        if value.ndim == 1:
            np.testing.assert_array_equal(theirs[name], value)
            continue
        channels = -2 if name.startswith("dw/") else -1
        error = np.moveaxis(np.abs(theirs[name] - value), channels, -1)
        most = np.moveaxis(np.abs(value), channels, -1)
        axes = tuple(range(3))
        step = most.max(axis=axes) / 127
        assert np.all(error.max(axis=axes) <= step * (0.5 + 1e-4))
        # The largest weight of a channel is one that int8 has.
        assert np.count_nonzero(error < step * 1e-3) >= len(step)


def test_the_same_weights_are_the_same_bytes(make_net, tmp_path):
    digests = [
        save_weights_file(make_net(), tmp_path / f"{i}.npz", about={"seed": 1})
        for i in range(2)
    ]
    data = (tmp_path / "1.npz").read_bytes()
    assert digests == [hashlib.sha256(data).hexdigest()] * 2
    about = load_weights_file(make_net(), tmp_path / "1.npz", sha256=digests[0])
    assert about == {"seed": 1}


def test_a_channel_of_zeros_stays_one(make_net, tmp_path):
    net = make_net()
    kernel = net.get_layer("last").kernel
    kernel.assign(kernel.numpy() * [0, 1, 1, 1, 1, 1])
    save_weights_file(net, tmp_path / "net.npz", dtype="int8")
    load_weights_file(net, tmp_path / "net.npz")
    assert not kernel.numpy()[..., 0].any()
    assert kernel.numpy()[..., 1].any()


@pytest.mark.parametrize("value", [1e5, np.nan])
def test_weights_that_do_not_fit_are_refused(make_net, tmp_path, value):
    net = make_net()
    net.get_layer("last").bias.assign(np.full(6, value))
    with pytest.raises(
        ValueError, match=r"finite weights up to 65504.* 'last/"
    ):
        save_weights_file(net, tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())


def test_bad_files_leave_the_net_alone(make_net, tmp_path):
    net, path = make_net(), tmp_path / "net.npz"
    digest = save_weights_file(make_net(seed=1), path)
    data, before = path.read_bytes(), values(net)
    for damaged in (b"", data[:-30], data[::-1]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"to have the sha256 .* damaged"):
            load_weights_file(net, path, sha256=digest)
        with pytest.raises(ValueError, match="to be a file of weights"):
            load_weights_file(net, path)
    path.write_bytes(data)
    other = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Conv2D(4, 3, name="stem")]
    )
    with pytest.raises(ValueError, match=r"only in the file \['dw/bias'"):
        load_weights_file(other, path)
    save_weights_file(other, path)
    with pytest.raises(ValueError, match=r"only in the model \['dw/bias'"):
        load_weights_file(net, path)
    for name, value in values(net).items():
        np.testing.assert_array_equal(before[name], value)
    with pytest.raises(ValueError, match="`dtype` to be one of"):
        save_weights_file(net, path, dtype="float8")
    with pytest.raises(FileNotFoundError):
        load_weights_file(net, tmp_path / "gone.npz")


def test_another_shape_is_refused(make_net, tmp_path):
    net, path = make_net(), tmp_path / "net.npz"
    save_weights_file(net, path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["last/bias"] = np.zeros(7, np.float16)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"have the shape \(6,\). Received: "):
        load_weights_file(net, path)


@pytest.fixture
def ships(tmp_path, monkeypatch):
    """Makes a file of random weights one that ships."""

    def ship(net, dtype):
        path = tmp_path / f"{net.name}.npz"
        digest = save_weights_file(net, path, dtype=dtype)
        monkeypatch.setattr(shipped, "FOLDER", tmp_path)
        monkeypatch.setattr(shipped, "SHA256", {net.name: digest})
        return path

    return ship


@pytest.mark.parametrize(
    ("build", "dtype"),
    [
        (zoo.MCUNet, "float16"),
        (zoo.MobileNetV2, "int8"),
        (zoo.ProxylessNAS, "int8"),
    ],
)
def test_nets_load_what_ships(ships, build, dtype):
    keras.utils.set_random_seed(0)
    net = build(weights=None)
    path = ships(net, dtype)
    assert path.stat().st_size < MOST
    loaded = values(build(weights="meta"))
    for name, value in values(net).items():
        tolerance = np.abs(value).max() / 100
        np.testing.assert_allclose(loaded[name], value, atol=tolerance)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="install the package again"):
        build(weights="meta")


def test_the_mix_layer_stays_random(ships):
    net = zoo.MobileNetV2(weights=None)
    ships(net, "float16")
    mixed = zoo.MobileNetV2(weights="meta", mix=True)
    np.testing.assert_allclose(
        mixed.get_layer("stem").kernel, net.get_layer("stem").kernel, rtol=1e-3
    )
    assert np.any(mixed.get_layer("mix").kernel.numpy())


def test_what_does_not_ship_is_said(monkeypatch):
    monkeypatch.setattr(shipped, "SHA256", {})
    with pytest.raises(
        FileNotFoundError, match=r"no net yet. .* 'mcunet'. Use"
    ):
        zoo.MCUNet(weights="meta")
    with pytest.raises(ValueError, match="which have no classifier"):
        zoo.MCUNet(weights="meta", include_top=True)


@pytest.mark.parametrize("name", sorted(shipped.SHA256))
def test_files_that_ship_are_whole_and_small(name):
    zoo.build(name, weights="meta")
    assert (shipped.FOLDER / f"{name}.npz").stat().st_size <= MOST
