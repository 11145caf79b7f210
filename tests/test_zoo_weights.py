import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_tinytrain import zoo
from keras_tinytrain.zoo import weights
from keras_tinytrain.zoo.torch_pickle import read_torch_pickle

FOLDER = Path(
    os.environ.get("KERAS_TINYTRAIN_WEIGHTS")
    or Path(__file__).parents[2] / "shared" / "weights"
)
CACHE = Path(
    os.environ.get("KERAS_HOME") or Path.home() / ".keras", "keras_tinytrain"
)
NAMES = {
    "mcunet-5fps": zoo.MCUNet,
    "mbv2-w0.35": zoo.MobileNetV2,
    "proxyless-w0.3": zoo.ProxylessNAS,
}
needs_folder = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no weights folder at {FOLDER}"
)

# One of each kind of layer: kernel shape (HWIO, depthwise HWC1), input scale.
TINY = {
    "stem": ((3, 3, 2, 4), 0.5),
    "block00/depthwise": ((3, 3, 4, 1), 0.25),
    "block00/project": ((1, 1, 4, 3), 2.0),
    "classifier": ((1, 1, 3, 5), 1.0),
}


def tiny_model():
    x = image = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(4, 3, name="stem")(x)
    x = keras.layers.DepthwiseConv2D(3, name="block00_depthwise")(x)
    x = keras.layers.Conv2D(3, 1, name="block00_project")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(5, name="classifier")(x)
    return keras.Model(image, x, name="tiny_model")


def tiny_arrays():
    rng = np.random.default_rng(0)
    arrays = {}
    for name, (shape, _) in TINY.items():
        outputs = shape[2] if "depthwise" in name else shape[3]
        arrays[f"{name}/kernel"] = rng.integers(-127, 128, shape, np.int8)
        arrays[f"{name}/bias"] = rng.integers(-999, 999, outputs, np.int32)
        arrays[f"{name}/kernel_scale"] = rng.random(outputs, np.float32)
    return arrays


def register(path, monkeypatch):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(weights.SHA256, path.name, digest)


@pytest.fixture
def tiny_folder(tmp_path, monkeypatch):
    np.savez(tmp_path / "tiny.npz", **tiny_arrays())
    rows = {n: {"name": n, "input_scale": s} for n, (_, s) in TINY.items()}
    block = {
        "expand": None,
        "depthwise": rows["block00/depthwise"],
        "project": rows["block00/project"],
    }
    net = {
        "stem": rows["stem"],
        "blocks": [block],
        "features": None,
        "classifier": rows["classifier"],
    }
    (tmp_path / "tiny.json").write_text(json.dumps(net))
    register(tmp_path / "tiny.json", monkeypatch)
    register(tmp_path / "tiny.npz", monkeypatch)
    monkeypatch.setenv(weights.WEIGHTS_ENV, str(tmp_path))
    return tmp_path


def write_archive(path, pickled):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
    return path


def torch_pickle(tree):
    # The checkpoints were written by NumPy 1, where the module had no "_".
    return pickle.dumps(tree, protocol=2).replace(b"numpy._core", b"numpy.core")


@pytest.fixture
def tiny_checkpoint(tmp_path, monkeypatch):
    arrays = tiny_arrays()

    def conv(name):
        depthwise = "depthwise" in name
        axes = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
        params = {
            "weight": arrays[f"{name}/kernel"].transpose(axes),
            "bias": arrays[f"{name}/bias"],
            "w_scales": arrays[f"{name}/kernel_scale"],
            "x_scale": TINY[name][1],
        }
        return {"groups": 4 if depthwise else 1, "params": params}

    block = {
        "pointwise1": None,
        "depthwise": conv("block00/depthwise"),
        "pointwise2": conv("block00/project"),
    }
    net = {
        "first_conv": conv("stem"),
        "blocks": [block],
        "classifier": conv("classifier"),
    }
    path = write_archive(tmp_path / "tiny.pkl", torch_pickle(net))
    register(path, monkeypatch)
    monkeypatch.delenv(weights.WEIGHTS_ENV, raising=False)
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: str(path))
    return path


def assert_tiny_weights(model):
    arrays = tiny_arrays()
    for name, (_, input_scale) in TINY.items():
        kernel, bias = model.get_layer(name.replace("/", "_")).get_weights()
        scale = arrays[f"{name}/kernel_scale"]
        for c in range(len(scale)):
            stored = arrays[f"{name}/kernel"]
            depthwise = "depthwise" in name
            stored = stored[:, :, c, 0] if depthwise else stored[..., c]
            actual = kernel[:, :, c, 0] if depthwise else kernel[..., c]
            np.testing.assert_allclose(
                actual.ravel(), stored.ravel() * scale[c], rtol=1e-6
            )
            expected = arrays[f"{name}/bias"][c] * scale[c] * input_scale
            np.testing.assert_allclose(bias[c], expected, rtol=1e-6)


def test_dequantize_by_hand():
    layer = weights.Int8Layer(
        kernel=np.array([2, -4], np.int8).reshape(1, 1, 1, 2),
        bias=np.array([10, 100], np.int32),
        kernel_scale=np.array([0.5, 0.25], np.float32),
        input_scale=0.1,
    )
    kernel, bias = layer.dequantize()
    assert kernel.dtype == bias.dtype == np.float32
    np.testing.assert_array_equal(kernel.ravel(), [1.0, -1.0])
    np.testing.assert_allclose(bias, [0.5, 2.5], rtol=1e-6)


def test_folder(tiny_folder):
    model = tiny_model()
    weights.load_imagenet(model, "tiny")
    assert_tiny_weights(model)


def test_checkpoint(tiny_checkpoint):
    model = tiny_model()
    weights.load_imagenet(model, "tiny")
    assert_tiny_weights(model)


@needs_folder
@pytest.mark.parametrize("name", NAMES)
def test_both_routes_agree_to_the_bit(name):
    if not (CACHE / f"{name}.pkl").is_file():
        pytest.skip(f"no {name}.pkl in {CACHE}")
    ours = weights._read_folder(FOLDER / f"{name}.npz")
    theirs = weights._read_checkpoint(CACHE / f"{name}.pkl")
    assert ours.keys() == theirs.keys()
    for layer in ours:
        for a, b in zip(
            ours[layer].dequantize(), theirs[layer].dequantize(), strict=True
        ):
            np.testing.assert_array_equal(a, b)


@needs_folder
@pytest.mark.parametrize("name", NAMES)
def test_published_weights_load(name, monkeypatch):
    monkeypatch.setenv(weights.WEIGHTS_ENV, str(FOLDER))
    model = NAMES[name](include_top=True)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    arrays = np.load(FOLDER / f"{name}.npz")
    np.testing.assert_array_equal(
        model.get_layer("stem").kernel,
        arrays["stem/kernel"] * arrays["stem/kernel_scale"],
    )


@needs_folder
def test_mix_stays_random_and_the_rest_is_loaded(monkeypatch):
    monkeypatch.setenv(weights.WEIGHTS_ENV, str(FOLDER))
    plain, mixed = zoo.ProxylessNAS(), zoo.ProxylessNAS(mix=True)
    for layer in plain.layers:
        for a, b in zip(
            layer.get_weights(),
            mixed.get_layer(layer.name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
    assert np.std(mixed.get_layer("mix").kernel) > 0


def test_unknown_name():
    message = r"\['mbv2-w0.35', 'mcunet-5fps', .*Received: name='mcunet'"
    with pytest.raises(ValueError, match=message):
        weights.load_imagenet(tiny_model(), "mcunet")


@pytest.mark.parametrize("missing", ["tiny.json", "tiny.npz"])
def test_missing_file_is_named_with_the_remedy(tiny_folder, missing):
    (tiny_folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"{missing}.*or unset"):
        weights.load_imagenet(tiny_model(), "tiny")


def test_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.WEIGHTS_ENV, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere/mcunet-5fps.json"):
        zoo.MCUNet()


@pytest.mark.parametrize("file", ["tiny.json", "tiny.npz"])
def test_wrong_hash(tiny_folder, file):
    path = tiny_folder / file
    path.write_bytes(path.read_bytes() + b" ")
    received = hashlib.sha256(path.read_bytes()).hexdigest()
    message = f"{file}.*{weights.SHA256[file]}.*Received: {received}"
    with pytest.raises(ValueError, match=message):
        weights.load_imagenet(tiny_model(), "tiny")


def test_missing_array(tiny_folder, monkeypatch):
    arrays = tiny_arrays()
    del arrays["stem/bias"]
    np.savez(tiny_folder / "tiny.npz", **arrays)
    register(tiny_folder / "tiny.npz", monkeypatch)
    with pytest.raises(ValueError, match=r"Expected the arrays.*'stem/bias'"):
        weights.load_imagenet(tiny_model(), "tiny")


def test_other_layers_are_refused(tiny_folder):
    model = zoo.MCUNet(weights=None, input_shape=(32, 32, 3))
    with pytest.raises(
        ValueError, match=r"only in the model .*block13_project"
    ):
        weights.load_imagenet(model, "tiny")


def test_other_shapes_are_refused_and_change_nothing(tiny_folder, monkeypatch):
    arrays = tiny_arrays()
    arrays["classifier/kernel"] = np.zeros((1, 1, 2, 5), np.int8)
    np.savez(tiny_folder / "tiny.npz", **arrays)
    register(tiny_folder / "tiny.npz", monkeypatch)
    model = tiny_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"'classifier'.*Received: \[\(2, 5\)"):
        weights.load_imagenet(model, "tiny")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_failed_download_names_url_and_remedy(monkeypatch):
    def offline(*_, **__):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    monkeypatch.delenv(weights.WEIGHTS_ENV, raising=False)
    message = r"https://.*/mcunet-5fps\.pkl.*set KERAS_TINYTRAIN_WEIGHTS"
    with pytest.raises(OSError, match=message):
        zoo.MCUNet()


def test_damaged_download_is_fetched_again_then_refused(
    tiny_checkpoint, monkeypatch
):
    forced = []

    def get_file(*_, force_download, **__):
        forced.append(force_download)
        tiny_checkpoint.write_bytes(b"damaged")
        return str(tiny_checkpoint)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(ValueError, match=r"tiny.pkl.*sha256.*Received: "):
        weights.load_imagenet(tiny_model(), "tiny")
    assert forced == [False, True]


def test_archive_of_arrays(tmp_path):
    tree = {
        "arrays": [
            np.arange(6, dtype=np.int8).reshape(2, 3),
            np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
            np.array([-(2**31), 7], np.int32),
        ],
        "plain": (1, 0.5, None, True, "text"),
    }
    path = write_archive(tmp_path / "a.pkl", torch_pickle(tree))
    read = read_torch_pickle(path)
    assert read["plain"] == tree["plain"]
    for old, new in zip(tree["arrays"], read["arrays"], strict=True):
        assert new.dtype == old.dtype
        np.testing.assert_array_equal(old, new)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_malicious_archive_is_not_executed(tmp_path, protocol):
    victim = tmp_path / "victim"
    pickled = pickle.dumps({"a": Malicious(victim)}, protocol=protocol)
    path = write_archive(tmp_path / "evil.pkl", pickled)
    with pytest.raises(pickle.UnpicklingError, match=r"Received: '\w+.mkdir'"):
        read_torch_pickle(path)
    assert not victim.exists()
    pickle.loads(pickled)  # It would have worked with a common unpickler.
    assert victim.exists()


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"ctorch._utils\n_rebuild_tensor_v2\n.", "torch._utils._rebuild"),
        (b"cbuiltins\neval\n.", "builtins.eval"),
        (b"Pstorage\n.", "persistent"),
        (torch_pickle(np.array([None])), "Expected a dtype among"),
        (torch_pickle(np.array([1], ">i4")), "little-endian"),
    ],
)
def test_anything_but_plain_arrays_is_refused(tmp_path, pickled, message):
    path = write_archive(tmp_path / "a.pkl", pickled)
    with pytest.raises(pickle.UnpicklingError, match=message):
        read_torch_pickle(path)


def test_not_an_archive(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match=r"zip archive.*Received: path="):
        read_torch_pickle(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/other", b"")
    with pytest.raises(ValueError, match=r"one member.*archive/other"):
        read_torch_pickle(path)
