"""Tiny nets and folders of images that worker processes can open."""

import keras
import numpy as np
from keras import layers


def save_net(path, seed=0, size=16):
    """Saves a net of three convolutions; returns the path as text."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="stem")(x)
    x = layers.Conv2D(8, 1, activation="relu", name="expand")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="last")(x)
    keras.Model(image, x).save(path)
    return str(path)


def save_images(folder, classes=6, count=6, seed=0, size=16):
    """Saves noisy pictures, one per class; returns the folder as text."""
    rng = np.random.default_rng(seed)
    for name in range(classes):
        picture = rng.uniform(0, 255, (size, size, 3))
        (folder / f"class{name}").mkdir(parents=True)
        for i in range(count):
            noise = rng.normal(size=picture.shape) * 40
            image = np.clip(picture + noise, 0, 255).astype("uint8")
            keras.utils.save_img(
                folder / f"class{name}" / f"{i}.png", image, scale=False
            )
    return str(folder)
