"""MCUNet, the 5-frames-per-second model for 320 kB microcontrollers."""

import keras

from keras_tinytrain.zoo.blocks import build_backbone

# expansion, channels, repeats, kernel, stride
STAGES = (
    (1, 8, 1, 3, 1),
    (4, 16, 1, 3, 2),
    (3, 16, 1, 3, 1),
    (3, 24, 1, 7, 2),
    (5, 24, 1, 3, 1),
    (5, 40, 1, 3, 2),
    (4, 40, 1, 7, 1),
    (4, 48, 1, 5, 1),
    (3, 48, 1, 3, 1),
    (4, 48, 1, 3, 1),
    (5, 96, 1, 7, 2),
    (4, 96, 2, 5, 1),
    (6, 160, 1, 3, 1),
)


def MCUNet(
    weights: str | None = "imagenet",
    input_shape: tuple[int | None, int | None, int] = (128, 128, 3),
    include_top: bool = False,
) -> keras.Model:
    """Builds MCUNet ("mcunet-5fps"): 463,216 weights, 22.5M MACs at 128 px.

    BatchNorm is folded, so every convolution has a bias. Layers are named
    "stem", "block00_depthwise", "block01_expand", "block01_project", ...,
    "pool".

    Args:
        weights: `"imagenet"`; `"meta"`, meta-trained from these and part of
            the library; or `None` for random ones.
        input_shape: Height, width and channels. Sides of at least 32, or
            `None`.
        include_top: Whether to end in the 1000 ImageNet logits, a `Dense`
            layer named "classifier", instead of the 160 pooled features.

    Returns:
        A `keras.Model` that takes pixels from 0 to 255.

    Raises:
        ValueError: An argument is not one of the above.
        OSError: The weights could not be had; the message says what to do.

    Example:
    ```python
    backbone = keras_tinytrain.zoo.MCUNet()
    embeddings = backbone(images)  # (batch, 160)
    ```

    Reference:
        [MCUNet: Tiny Deep Learning on IoT Devices](
            https://arxiv.org/abs/2007.10319)
    """
    return build_backbone(
        "mcunet",
        "mcunet-5fps",
        STAGES,
        weights=weights,
        input_shape=input_shape,
        include_top=include_top,
    )
