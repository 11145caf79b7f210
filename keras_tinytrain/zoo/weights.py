"""ImageNet weights of the backbones, as published in int8, made float32."""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from keras_tinytrain.zoo.torch_pickle import read_torch_pickle

WEIGHTS_ENV = "KERAS_TINYTRAIN_WEIGHTS"

# Pinned, so that the file of a name never changes.
_URL = (
    "https://raw.githubusercontent.com/mit-han-lab/tiny-training/"
    "7bf8e05bbeebda76cbf2ea2dd596dedee7e3f343/algorithm/assets/mcu_models/"
)

SHA256 = {
    "mbv2-w0.35.json": (
        "eb6a5edd0c4a65d74a0d1164ddafe712c08f5689a7589e4cc4822f51b339203d"
    ),
    "mbv2-w0.35.npz": (
        "a906878ba8572b4b46e7b5aff874e226a16a5da0b36a1e825b4cd82c7be0f7b1"
    ),
    "mbv2-w0.35.pkl": (
        "310d2871c50a89af9f11928e28418729984c2e402cf68560a19b6cbb75854163"
    ),
    "mcunet-5fps.json": (
        "e419f627eaf55550caea02ab965ffc1e5f084460aefcfb68faf7622eb9795cec"
    ),
    "mcunet-5fps.npz": (
        "ed388b68dccd8fadb2fb1ffe47261f2184a73477adb9df3ed6a52f849b92cbf6"
    ),
    "mcunet-5fps.pkl": (
        "4de2e06ed39041fc3609de806461a9e1d1f82f186927474bd9e9b0de756a0f00"
    ),
    "proxyless-w0.3.json": (
        "785b2378598921a97f37662c7d750bc6b8d80c95ae12170d2c87edb8cd6f6ce4"
    ),
    "proxyless-w0.3.npz": (
        "8353e81044abc67ae7309ec5def77e833e101aec61fcb10e46f61dde6e9ea6ce"
    ),
    "proxyless-w0.3.pkl": (
        "0da06d029506a36e5a5d0822493cdae11f37ba78662f9aca25ba5b3c958cf8e1"
    ),
}


class Int8Layer(NamedTuple):
    """A layer as published; real value = stored value * scale."""

    kernel: np.ndarray  # int8, HWIO; HWC1 when depthwise.
    bias: np.ndarray  # int32; its scale is kernel_scale * input_scale.
    kernel_scale: np.ndarray  # float32, one per output channel.
    input_scale: float

    def dequantize(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the kernel, of unchanged shape, and the bias in float32."""
        scale = self.kernel_scale.astype(np.float64)
        depthwise = self.kernel.shape[2:] == (len(scale), 1)
        kernel = self.kernel * (scale[:, None] if depthwise else scale)
        bias = self.bias * (scale * self.input_scale)
        return kernel.astype(np.float32), bias.astype(np.float32)


def check_weights(weights: str | None) -> None:
    """Raises `ValueError` unless the zoo knows `weights`."""
    if weights not in (None, "imagenet", "meta"):
        raise ValueError(
            "Expected `weights` to be None, 'imagenet' or 'meta'. "
            f"Received: weights={weights!r}"
        )


def load_imagenet(model: keras.Model, name: str) -> None:
    """Sets the weights of a backbone to those trained on ImageNet.

    They are read from `{name}.json` and `{name}.npz` in the folder that the
    environment variable `KERAS_TINYTRAIN_WEIGHTS` names. Without it, the
    original checkpoint is downloaded once into Keras' cache. Both give the
    same bits. A layer called "mix" is left alone: nobody published it.

    Args:
        model: A model of the zoo.
        name: `"mcunet-5fps"`, `"mbv2-w0.35"` or `"proxyless-w0.3"`.

    Raises:
        ValueError: The name is unknown, a file is not the published one, or
            its layers are not those of `model`, which then stays unchanged.
        FileNotFoundError: The folder lacks a file.
        OSError: The download failed.

    Reference:
        [On-Device Training Under 256KB Memory](
            https://arxiv.org/abs/2206.15472), whose authors published the
        weights at https://github.com/mit-han-lab/tiny-training (MIT licence).
    """
    known = sorted({Path(file).stem for file in SHA256})
    if name not in known:
        raise ValueError(
            f"Expected `name` to be one of {known}. Received: name={name!r}"
        )
    folder = os.environ.get(WEIGHTS_ENV)
    if folder:
        source = Path(folder, f"{name}.npz")
        layers = _read_folder(source)
    else:
        source = _download(f"{name}.pkl")
        layers = _read_checkpoint(source)
    _assign(model, layers, source)


def read_int8(
    name: str,
) -> tuple[dict[str, Int8Layer], dict[str, tuple[float, int]]]:
    """Reads the layers of a published net and the scales between them.

    Args:
        name: `"mcunet-5fps"`, `"mbv2-w0.35"` or `"proxyless-w0.3"`.

    Returns:
        The layers by name, and scale and zero point of their outputs, of the
        additions, and of the input, called "image".

    Raises:
        ValueError: A file is not the published one.
        FileNotFoundError: `KERAS_TINYTRAIN_WEIGHTS` names no folder with it.
    """
    folder = os.environ.get(WEIGHTS_ENV)
    if not folder:
        raise FileNotFoundError(
            f"Expected {WEIGHTS_ENV} to name a folder with '{name}.json' and "
            f"'{name}.npz'. Received: {WEIGHTS_ENV}={folder!r}"
        )
    source = Path(folder, f"{name}.npz")
    layers = _read_folder(source)
    net = json.loads(source.with_suffix(".json").read_text())
    stem = net["stem"]
    found = {"image": (stem["input_scale"], stem["input_zero_point"])}
    parts = {layer["name"]: layer for layer in _convolutions(net)}
    parts |= {f"{b['name']}/add": b["add"] for b in net["blocks"] if b["add"]}
    for part, values in parts.items():
        pair = values["output_scale"], values["output_zero_point"]
        found[part.replace("/", "_")] = pair
    return layers, found


def _convolutions(net: dict) -> list[dict]:
    """Lists the layers of a net's table, in order."""
    convs = [net["stem"]]
    for block in net["blocks"]:
        convs += [block[key] for key in ("expand", "depthwise", "project")]
    return list(filter(None, [*convs, net["features"], net["classifier"]]))


def _assign(
    model: keras.Model, layers: dict[str, Int8Layer], source: Path
) -> None:
    own = {la.name: la for la in model.layers if la.weights}
    own.pop("mix", None)
    if "classifier" not in own:
        layers = {n: la for n, la in layers.items() if n != "classifier"}
    if own.keys() != layers.keys():
        raise ValueError(
            f"Expected the layers of '{source}' to be those of the model, "
            f"'{model.name}'. Received: only in the file "
            f"{sorted(layers.keys() - own.keys())}, only in the model "
            f"{sorted(own.keys() - layers.keys())}"
        )
    values = {}
    for name, layer in own.items():
        kernel, bias = layers[name].dequantize()
        if isinstance(layer, keras.layers.Dense):
            kernel = kernel[0, 0]  # Stored as a 1x1 convolution.
        expected = [tuple(w.shape) for w in layer.weights]
        if [kernel.shape, bias.shape] != expected:
            raise ValueError(
                f"Expected kernel and bias of shapes {expected} for layer "
                f"'{name}' in '{source}'. "
                f"Received: {[kernel.shape, bias.shape]}"
            )
        values[name] = [kernel, bias]
    for name, layer in own.items():
        layer.set_weights(values[name])


def _read_folder(path: Path) -> dict[str, Int8Layer]:
    table = path.with_suffix(".json")
    for file in (table, path):
        if not file.is_file():
            raise FileNotFoundError(
                f"Expected the file '{file}', because {WEIGHTS_ENV}="
                f"{os.environ.get(WEIGHTS_ENV)!r}. Put it there, or unset "
                f"{WEIGHTS_ENV} to download the original weights."
            )
        _verify(file)
    net = json.loads(table.read_text())
    layers = {}
    with np.load(path) as arrays:
        for layer in _convolutions(net):
            name = layer["name"]
            keys = [f"{name}/{key}" for key in Int8Layer._fields[:3]]
            if not set(keys) <= set(arrays.files):
                raise ValueError(
                    f"Expected the arrays {keys} in '{path}'. "
                    f"Received: {[k for k in keys if k in arrays.files]}"
                )
            layers[name.replace("/", "_")] = Int8Layer(
                *(arrays[key] for key in keys), layer["input_scale"]
            )
    return layers


def _read_checkpoint(path: Path) -> dict[str, Int8Layer]:
    net = read_torch_pickle(path)
    convs = {"stem": net["first_conv"], "classifier": net["classifier"]}
    roles = {
        "expand": "pointwise1",
        "depthwise": "depthwise",
        "project": "pointwise2",
    }
    for i, block in enumerate(net["blocks"]):
        for role, key in roles.items():
            convs[f"block{i:02d}_{role}"] = block[key]
    layers = {}
    for name, layer in convs.items():
        if layer is None:
            continue  # The first block does not expand.
        params = layer["params"]
        # Torch stores OIHW, and C1HW for a depthwise kernel.
        axes = (2, 3, 0, 1) if layer["groups"] > 1 else (2, 3, 1, 0)
        layers[name] = Int8Layer(
            params["weight"].transpose(axes),
            params["bias"],
            params["w_scales"],
            params["x_scale"],
        )
    return layers


def _download(file: str) -> Path:
    # A broken file may come from the cache, so it is fetched once more.
    for force in (False, True):
        try:
            path = keras.utils.get_file(
                file,
                _URL + file,
                cache_subdir="keras_tinytrain",
                force_download=force,
            )
        # `get_file` raises a bare Exception.
        except Exception as error:
            raise OSError(
                f"Expected to download {_URL + file}. To do without, set "
                f"{WEIGHTS_ENV} to a folder that holds the weights. "
                f"Received: {error}"
            ) from error
        if _sha256(path) == SHA256[file]:
            break
    _verify(Path(path))
    return Path(path)


def _sha256(path: str | os.PathLike) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _verify(path: Path) -> None:
    received = _sha256(path)
    if received != SHA256[path.name]:
        raise ValueError(
            f"Expected '{path}' to have the sha256 {SHA256[path.name]}. "
            f"Received: {received}. The file is damaged or not the "
            "published one; fetch it again."
        )
