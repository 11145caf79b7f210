r"""Makes a dataset of real digits for `adapt.py`, and a backbone.

    python examples/digits.py --nopretrain
    python examples/adapt.py --net=mcunet --weights=meta \
        --dataset=build/digits/digits --way=10 --shot=5

The handwritten digits of scikit-learn become a folder of images. A backbone of
your own instead of one of the zoo:

    python examples/digits.py
    python examples/adapt.py --net=build/digits/backbone.keras \
        --dataset=build/digits/digits_5_to_9 --image_size=32

A small CNN learns the digits 0 to 4 with plain Keras; the digits 5 to 9, which
it never sees, are in a folder of their own.
"""

import pathlib

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf
from absl import app, flags
from keras import layers

SIZE = 32
KNOWN = 5  # Digits below are for the backbone, the others for new tasks.
# expansion, channels, stride
BLOCKS = ((1, 16, 1), (4, 24, 2), (4, 24, 1), (4, 40, 2), (4, 40, 1))

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "build/digits", "Where all goes.")
flags.DEFINE_bool("pretrain", True, "Whether to make a backbone.")
flags.DEFINE_integer("epochs", 12, "Epochs of pre-training.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of the weights and the batches.")


def convolution(x, filters: int | None, *, stride: int = 1, relu: bool = True):
    """Adds a 1x1 convolution, or a 3x3 depthwise one without `filters`."""
    conv = (
        layers.Conv2D(filters, 1, use_bias=False)
        if filters
        else layers.DepthwiseConv2D(
            3, strides=stride, padding="same", use_bias=False
        )
    )
    x = layers.BatchNormalization(momentum=0.9)(conv(x))
    return layers.ReLU(6.0)(x) if relu else x


def build_backbone() -> keras.Model:
    """Returns a MobileNet of five inverted residuals, without classifier."""
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
    for expansion, channels, stride in BLOCKS:
        inputs = x
        if expansion != 1:
            x = convolution(x, expansion * x.shape[-1])
        x = convolution(x, None, stride=stride)
        x = convolution(x, channels, relu=False)
        if stride == 1 and inputs.shape[-1] == channels:
            x = layers.Add()([inputs, x])
    x = convolution(x, 96)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, x, name="digits_backbone")


def pretrain(backbone: keras.Model, images, labels) -> float:
    """Trains the backbone; returns the accuracy on a fifth held out."""
    model = keras.Sequential([backbone, layers.Dense(KNOWN)])
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    held_out = np.arange(len(labels)) % 5 == 0
    model.fit(
        images[~held_out],
        labels[~held_out],
        epochs=FLAGS.epochs,
        batch_size=64,
        verbose=0,
    )
    return model.evaluate(images[held_out], labels[held_out], verbose=0)[1]


def save_images(images: np.ndarray, labels: np.ndarray, folder) -> None:
    """Writes one folder of png files per digit."""
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(image).numpy())


def main(argv: list[str]) -> None:
    """Writes the backbone and the images."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    keras.utils.set_random_seed(FLAGS.seed)
    folder = pathlib.Path(FLAGS.folder)
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    # 8 x 8 pixels from 0 to 16.
    images = images.reshape(-1, 8, 8, 1) * 255 / 16
    images = tf.image.resize(images, (SIZE, SIZE)).numpy()
    images = np.repeat(images.round().astype("uint8"), 3, axis=-1)
    save_images(images, labels, folder / "digits")
    print(f"Images of the digits: {folder / 'digits'}")
    if not FLAGS.pretrain:
        return
    backbone = build_backbone()
    known = labels < KNOWN
    accuracy = pretrain(backbone, images[known], labels[known])
    print(f"Digits 0 to 4, held out: {accuracy:.1%} accuracy")
    save_images(images[~known], labels[~known], folder / "digits_5_to_9")
    backbone.save(folder / "backbone.keras")
    print(f"Backbone and images of the digits 5 to 9: {folder}")


if __name__ == "__main__":
    app.run(main)
