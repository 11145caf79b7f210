"""ProxylessNAS at width 0.3."""

import keras

from keras_tinytrain.zoo.blocks import build_backbone

# expansion, channels, repeats, kernel, stride
STAGES = (
    (1, 8, 1, 3, 1),
    (3, 16, 1, 5, 2),
    (3, 16, 1, 3, 1),
    (3, 16, 1, 7, 2),
    (3, 16, 1, 3, 1),
    (3, 16, 2, 5, 1),
    (6, 24, 1, 7, 2),
    (3, 24, 3, 5, 1),
    (6, 32, 1, 5, 1),
    (3, 32, 3, 5, 1),
    (6, 64, 1, 7, 2),
    (6, 64, 1, 7, 1),
    (3, 64, 2, 7, 1),
    (6, 96, 1, 7, 1),
)
MIX_CHANNELS = 384


def ProxylessNAS(
    weights: str | None = "imagenet",
    input_shape: tuple[int | None, int | None, int] = (128, 128, 3),
    include_top: bool = False,
    *,
    mix: bool = False,
) -> keras.Model:
    """Builds ProxylessNAS ("proxyless-w0.3"); 19.2M MACs at 128 px with `mix`.

    BatchNorm is folded, so every convolution has a bias. Layers are named
    "stem", "block00_depthwise", "block01_expand", "block01_project", ...,
    "mix", "pool".

    Args:
        weights: `"imagenet"`; `"meta"`, meta-trained from these and part of
            the library; or `None` for random ones.
        input_shape: Height, width and channels. Sides of at least 32, or
            `None`.
        include_top: Whether to end in the 1000 ImageNet logits, a `Dense`
            layer named "classifier", instead of the pooled features.
        mix: Whether to append the 1x1 convolution, 96 to 384 channels, that
            the network of the TinyTrain paper has. Nobody published weights
            for it: this one layer stays random with any `weights`,
            and `include_top` is refused.

    Returns:
        A `keras.Model` that takes pixels from 0 to 255.

    Raises:
        ValueError: An argument is not one of the above.
        OSError: The weights could not be had; the message says what to do.

    Example:
    ```python
    backbone = keras_tinytrain.zoo.ProxylessNAS()
    embeddings = backbone(images)  # (batch, 96), or 384 with mix=True
    ```

    Reference:
        [ProxylessNAS: Direct Neural Architecture Search on Target Task and
            Hardware](https://arxiv.org/abs/1812.00332)
    """
    return build_backbone(
        "proxyless_nas",
        "proxyless-w0.3",
        STAGES,
        weights=weights,
        input_shape=input_shape,
        include_top=include_top,
        mix_channels=MIX_CHANNELS if mix else None,
    )
