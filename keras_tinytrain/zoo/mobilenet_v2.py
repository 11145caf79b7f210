"""MobileNetV2 at width 0.35."""

import keras

from keras_tinytrain.zoo.blocks import build_backbone

# expansion, channels, repeats, kernel, stride
STAGES = (
    (1, 8, 1, 3, 1),
    (6, 8, 2, 3, 2),
    (6, 16, 3, 3, 2),
    (6, 24, 4, 3, 2),
    (6, 32, 3, 3, 1),
    (6, 56, 3, 3, 2),
    (6, 112, 1, 3, 1),
)
MIX_CHANNELS = 448


def MobileNetV2(
    weights: str | None = "imagenet",
    input_shape: tuple[int | None, int | None, int] = (128, 128, 3),
    include_top: bool = False,
    *,
    mix: bool = False,
) -> keras.Model:
    """Builds MobileNetV2 ("mbv2-w0.35"); 17.5M MACs at 128 px with `mix`.

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
        mix: Whether to append the 1x1 convolution, 112 to 448 channels, that
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
    backbone = keras_tinytrain.zoo.MobileNetV2()
    embeddings = backbone(images)  # (batch, 112), or 448 with mix=True
    ```

    Reference:
        [MobileNetV2: Inverted Residuals and Linear Bottlenecks](
            https://arxiv.org/abs/1801.04381)
    """
    return build_backbone(
        "mobilenet_v2",
        "mbv2-w0.35",
        STAGES,
        weights=weights,
        input_shape=input_shape,
        include_top=include_top,
        mix_channels=MIX_CHANNELS if mix else None,
    )
