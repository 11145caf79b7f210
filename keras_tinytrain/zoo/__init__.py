"""Backbones small enough for a microcontroller, trained on ImageNet."""

import difflib
from typing import Any

import keras

from keras_tinytrain.zoo.mcunet import MCUNet
from keras_tinytrain.zoo.mobilenet_v2 import MobileNetV2
from keras_tinytrain.zoo.proxyless_nas import ProxylessNAS

__all__ = ["MCUNet", "MobileNetV2", "ProxylessNAS", "build"]

_BUILDERS = {
    "mcunet": MCUNet,
    "mobilenet_v2": MobileNetV2,
    "proxyless_nas": ProxylessNAS,
}


def build(name: str, **kwargs: Any) -> keras.Model:
    """Builds a backbone by its name.

    Args:
        name: `"mcunet"`, `"mobilenet_v2"` or `"proxyless_nas"`.
        **kwargs: What `MCUNet`, `MobileNetV2` or `ProxylessNAS` takes.

    Returns:
        The `keras.Model`, whose name is `name`.

    Raises:
        ValueError: There is no backbone of that name.

    Example:
    ```python
    backbone = keras_tinytrain.zoo.build("proxyless_nas", mix=True)
    ```
    """
    if name not in _BUILDERS:
        nearest = difflib.get_close_matches(
            str(name), _BUILDERS, n=len(_BUILDERS), cutoff=0.0
        )
        raise ValueError(
            f"Expected `name` to be one of {nearest}. Received: name={name!r}"
        )
    return _BUILDERS[name](**kwargs)
