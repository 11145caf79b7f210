"""Tasks made of the validation classes of miniImageNet, near and far.

- `plain`: the images as they are, 10-way 5-shot. ImageNet weights know them.
- `shifted`: the images of an episode as edges, inverted, black and white, or
  in false colours, 10-way 5-shot.
- `instances`: shifted images of which each is a class, 25-way 2-shot; its
  examples are strong deformations. Like characters.
- `signs`: pictograms made of images, inside a rim, in front of other images,
  10-way 5-shot. The frames of a track share light, blur and size, and support
  and query have different tracks. Like traffic signs.
"""

import keras
import numpy as np
import tensorflow as tf

import keras_tinytrain as ktt

KINDS = ["plain", "shifted", "instances", "signs"]
# Colours of rims and pictograms.
RED, BLUE, YELLOW = [200, 30, 40], [30, 60, 170], [240, 200, 40]
WHITE, BLACK = [230, 230, 230], [40, 40, 40]


def make_task(
    dataset, kind: str, seed: int
) -> tuple[ktt.Examples, ktt.Examples]:
    """Returns the support and the query set of one task."""
    if kind not in KINDS:
        raise ValueError(f"Expected a kind of {KINDS}. Received: {kind!r}")
    if kind in ("plain", "shifted"):
        task = ktt.sample_episode(dataset, seed=seed, way=10, shot=5)
        if kind == "plain":
            return task.support, task.query
        return tuple(
            ktt.Examples(shift_domain(part.images, seed % 4), part.labels)
            for part in (task.support, task.query)
        )
    rng = np.random.default_rng(seed)
    every = [item for name in dataset.classes for item in dataset.items(name)]
    images = dataset.load([every[i] for i in rng.permutation(len(every))[:60]])
    if kind == "instances":
        shot, chosen = 2, shift_domain(images[:25], seed % 4)
        copies = [deform(image, shot + 6, rng) for image in chosen]
        parts = zip(*((c[:shot], c[shot:]) for c in copies))
    else:
        signs = [draw_sign(image, rng) for image in images[:10]]
        parts = (
            [film(sign, images[10:], frames, rng) for sign in signs]
            for frames in ((3, 2), (4, 3, 3))
        )
    return tuple(
        ktt.Examples(
            np.concatenate(part),
            np.repeat(np.arange(len(part)), len(part[0])),
        )
        for part in parts
    )


def shift_domain(images: np.ndarray, kind: int) -> np.ndarray:
    """Returns photographs in another domain."""
    images = images.astype(np.float32)
    grey = images.mean(axis=-1, keepdims=True)
    if kind == 0:
        across = np.abs(np.diff(grey, axis=1, prepend=grey[:, :1]))
        down = np.abs(np.diff(grey, axis=2, prepend=grey[:, :, :1]))
        shifted = 255 - 3 * (across + down)
    elif kind == 1:
        shifted = 255 - grey
    elif kind == 2:
        middle = np.median(grey, axis=(1, 2, 3), keepdims=True)
        shifted = 255.0 * (grey > middle)
    else:
        shifted = 255 - 0.7 * images[..., ::-1]
    shifted = np.broadcast_to(np.clip(shifted, 0, 255), images.shape)
    return np.round(shifted).astype(np.uint8)


def deform(image: np.ndarray, count: int, rng) -> np.ndarray:
    """Returns deformed copies of an image, with noise."""
    copies = move(
        np.repeat(image[None], count, axis=0),
        angle=rng.uniform(-0.45, 0.45, count),
        scale=np.exp(rng.uniform(-0.3, 0.3, count)),
        shift=rng.uniform(-0.15, 0.15, (2, count)) * len(image),
    )
    mean = copies.mean(axis=(1, 2, 3), keepdims=True)
    contrast = rng.uniform(0.6, 1.4, (count, 1, 1, 1))
    light = rng.uniform(-25, 25, (count, 1, 1, 1))
    copies = (copies - mean) * contrast + mean + light
    return to_bytes(copies + rng.normal(0, 12, copies.shape))


def draw_sign(image: np.ndarray, rng) -> np.ndarray:
    """Returns a sign with a pictogram of the image, and its mask."""
    size = len(image)
    grey = image.astype(np.float32).mean(axis=-1, keepdims=True)
    small = tf.image.resize(grey, (20, 20), antialias=True)
    grey = tf.image.resize(small, (size, size)).numpy()
    rim = np.array([RED, BLUE, YELLOW][rng.integers(3)])
    pair = (BLACK, WHITE) if rng.random() < 0.5 else (WHITE, rim)
    sign = np.where(grey > np.median(grey), *map(np.array, pair))
    across = (np.arange(size) + 0.5) * 2 / size - 1
    radius = np.hypot(across[:, None], across)[..., None]
    sign = np.where(radius > 0.62, rim, sign)
    return np.concatenate([sign, radius < 0.8], axis=-1).astype(np.float32)


def film(sign, scenes, frames: tuple[int, ...], rng) -> np.ndarray:
    """Returns the frames of some tracks of a sign in front of scenes."""
    size, tracks = len(sign), []
    for count in frames:
        signs = move(
            np.repeat(sign[None], count, axis=0),
            angle=rng.uniform(-0.15, 0.15) + rng.normal(0, 0.03, count),
            scale=np.exp(rng.uniform(-0.15, 0.35) + rng.normal(0, 0.08, count)),
            shift=rng.normal(0, 0.03, (2, count)) * size,
        )
        scene = scenes[rng.integers(len(scenes))]
        behind = move(
            np.repeat(scene[None], count, axis=0),
            angle=rng.uniform(-1, 1, count),
            scale=np.full(count, 0.7),
            shift=rng.uniform(-0.15, 0.15, (2, count)) * size,
        )
        mask = signs[..., 3:]
        seen = signs[..., :3] * mask + behind * (1 - mask)
        sharp = [rng.integers(12, 64)] * 2
        seen = tf.image.resize(seen, sharp, antialias=True)
        seen = tf.image.resize(seen, (size, size)).numpy()
        light = rng.uniform(0.25, 1.15) * rng.uniform(0.8, 1.2, 3)
        light = light * np.exp(rng.normal(0, 0.08, (count, 1, 1, 1)))
        tracks.append(seen * light + rng.normal(0, 6, seen.shape))
    return to_bytes(np.concatenate(tracks))


def move(images, *, angle, scale, shift) -> np.ndarray:
    """Turns, resizes and shifts each image about its middle."""
    middle = images.shape[1] / 2
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    right = middle - cos * middle + sin * middle + shift[0]
    down = middle - sin * middle - cos * middle + shift[1]
    rows = [cos, -sin, right, sin, cos, down, 0 * cos, 0 * cos]
    return keras.ops.image.affine_transform(
        images.astype(np.float32),
        np.stack(rows, axis=-1).astype(np.float32),
        fill_mode="nearest",
        data_format="channels_last",
    ).numpy()


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Returns images as bytes, clipped."""
    return np.clip(np.round(images), 0, 255).astype(np.uint8)
