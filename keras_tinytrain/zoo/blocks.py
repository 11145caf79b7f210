"""What the three backbones share: one convolution, one block, one loop."""

import keras

from keras_tinytrain.zoo.shipped import load_meta
from keras_tinytrain.zoo.weights import check_weights, load_imagenet

# One row of a network: (expansion, channels, repeats, kernel, stride).
# `expansion` multiplies the block's input channels; only the first of the
# repeats has the stride.
Stage = tuple[int, int, int, int, int]

STEM_CHANNELS = 16
IMAGENET_CLASSES = 1000


def conv(
    x: keras.KerasTensor,
    channels: int | None,
    *,
    name: str,
    kernel: int = 1,
    stride: int = 1,
    relu: bool = True,
) -> keras.KerasTensor:
    """Convolution with bias, then ReLU6 unless told otherwise.

    Args:
        x: `(batch, height, width, in_channels)`.
        channels: Output channels; `None` makes the convolution depthwise.
        name: Name of the convolution. The padding and the activation are
            called `{name}_pad` and `{name}_relu`.
        kernel: Odd height and width of the kernel.
        stride: 1 or 2.
        relu: Whether a ReLU6 follows.

    Returns:
        `(batch, ceil(height / stride), ceil(width / stride), channels)`.
    """
    if stride > 1:
        # The weights were trained with `kernel // 2` zeros on every side,
        # where "same" would put one fewer at the top left of an even image.
        x = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    # Keras counts a depthwise kernel's fan as if it mixed its channels. Random
    # nets without BatchNorm then fade to nothing within a few blocks.
    fan_in = kernel**2 * (1 if channels is None else x.shape[-1])
    variance = (2 if relu else 1) / fan_in
    options = {
        "kernel_size": kernel,
        "strides": stride,
        "padding": "same" if stride == 1 else "valid",
        "name": name,
    }
    initializer = keras.initializers.RandomNormal(stddev=variance**0.5)
    if channels is None:
        x = keras.layers.DepthwiseConv2D(
            depthwise_initializer=initializer, **options
        )(x)
    else:
        x = keras.layers.Conv2D(
            channels, kernel_initializer=initializer, **options
        )(x)
    if relu:
        x = keras.layers.ReLU(max_value=6.0, name=f"{name}_relu")(x)
    return x


def inverted_residual(
    x: keras.KerasTensor,
    expansion: int,
    channels: int,
    *,
    name: str,
    kernel: int,
    stride: int,
) -> keras.KerasTensor:
    """Expands, filters depthwise, projects; adds its input where it fits."""
    inputs = x
    if expansion != 1:
        x = conv(x, expansion * x.shape[-1], name=f"{name}_expand")
    x = conv(x, None, name=f"{name}_depthwise", kernel=kernel, stride=stride)
    x = conv(x, channels, name=f"{name}_project", relu=False)
    if stride == 1 and inputs.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}_add")([inputs, x])
    return x


def build_backbone(
    name: str,
    checkpoint: str,
    stages: tuple[Stage, ...],
    *,
    weights: str | None,
    input_shape: tuple[int | None, int | None, int],
    include_top: bool,
    mix_channels: int | None = None,
) -> keras.Model:
    """Builds the network of a stage table and loads its weights.

    Args:
        name: Name of the model.
        checkpoint: Name of its published weights, see `load_imagenet`.
        stages: The table; `Stage` says what a row means.
        weights: `None` (random), `"imagenet"` or `"meta"`.
        input_shape: Height, width and channels of an image.
        include_top: Whether to end in the 1000 ImageNet logits.
        mix_channels: Outputs of a last 1x1 convolution, or `None` for none.

    Returns:
        A model from images, 0 to 255, to embeddings or logits.

    Raises:
        ValueError: An argument is not one of the above.
    """
    check_weights(weights)
    _check_input_shape(input_shape)
    if weights == "meta" and include_top:
        raise ValueError(
            "Expected `include_top=False` with `weights='meta'`, which have no "
            f"classifier. Received: include_top={include_top}"
        )
    if weights == "imagenet" and include_top and mix_channels is not None:
        raise ValueError(
            "Expected `include_top=False` or `weights=None` with `mix=True`: "
            "the published classifier reads the features without the mix. "
            f"Received: include_top={include_top}, weights={weights!r}"
        )
    image = keras.Input(input_shape, name="image")
    # (pixel - 128) * 2 / 255, as the published weights expect.
    x = keras.layers.Rescaling(2 / 255, -256 / 255, name="rescaling")(image)
    x = conv(x, STEM_CHANNELS, name="stem", kernel=3, stride=2)
    block = 0
    for expansion, channels, repeats, kernel, stride in stages:
        for repeat in range(repeats):
            x = inverted_residual(
                x,
                expansion,
                channels,
                name=f"block{block:02d}",
                kernel=kernel,
                stride=stride if repeat == 0 else 1,
            )
            block += 1
    if mix_channels is not None:
        x = conv(x, mix_channels, name="mix")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    if include_top:
        x = keras.layers.Dense(IMAGENET_CLASSES, name="classifier")(x)
    model = keras.Model(image, x, name=name)
    if weights == "imagenet":
        load_imagenet(model, checkpoint)
    if weights == "meta":
        load_meta(model)
    return model


def _check_input_shape(shape: tuple[int | None, int | None, int]) -> None:
    sides = tuple(shape)[:2]
    if len(shape) != 3 or any(s is not None and s < 32 for s in sides):
        raise ValueError(
            "Expected `input_shape` to be (height, width, channels) with "
            "height and width of at least 32, or None. "
            f"Received: input_shape={shape}"
        )
