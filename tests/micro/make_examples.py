"""Writes the net of the examples that learn real images.

    python tests/micro/make_examples.py

A net of 2,384 weights learns the handwritten digits 0 to 4 of scikit-learn,
16 x 16 pixels; 5 to 9 are left to the sketches.
"""

import pathlib
import tempfile

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf
from keras import layers

import keras_tinytrain as ktt

EXAMPLES = pathlib.Path(__file__).parents[2] / "micro" / "examples"
SIZE = 16
KNOWN = 5
# channels, stride
BLOCKS = (16, 2), (32, 1), (32, 1)


def build() -> keras.Model:
    """Returns the net, without weights."""
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    for i, (channels, stride) in enumerate(BLOCKS):
        x = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", name=f"depthwise_{i}"
        )(x)
        x = layers.Conv2D(channels, 1, name=f"pointwise_{i}")(x)
        x = layers.ReLU(6.0, name=f"relu_{i}")(x)
    return keras.Model(image, x, name="digits")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns images as `examples/digits.py` writes them, and labels."""
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1) * 255 / 16
    images = tf.image.resize(images, (SIZE, SIZE)).numpy()
    return np.repeat(images.round(), 3, axis=-1), labels


def main() -> None:
    """Trains the net, and writes it beside the sketches."""
    keras.utils.set_random_seed(0)
    net = build()
    head = layers.Dense(KNOWN)(layers.Flatten()(net.output))
    model = keras.Model(net.input, head)
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    images, labels = digits()
    known = labels < KNOWN
    model.fit(images[known], labels[known], epochs=20, batch_size=32, verbose=2)
    with tempfile.TemporaryDirectory() as folder:
        result = ktt.export_micro(
            ktt.wrap(net),
            folder,
            budget=ktt.Budget("40KB"),
            from_pixels=True,
            max_way=KNOWN,
        )
        print(result.report.read_text())
        for name in ("AdaptToTask", "MeasureStep"):
            path = EXAMPLES / name / result.header.name
            path.parent.mkdir(exist_ok=True)
            lines = result.header.read_text().splitlines(keepends=True)
            lines.insert(1, "// clang-format off\n")
            path.write_text("".join(lines))


if __name__ == "__main__":
    main()
