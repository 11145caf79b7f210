"""Made-up characters and signs: classes without end that no photograph has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_tinytrain.episodes import Item

CLASSES, SAMPLES, SIZE = 800, 20, 64
# Points along a stroke, and how far the hand is off, as a share of the side.
_POINTS, _SHAKE = 32, 0.025
# Corners of a sign's plate; 0 is round, and every other sign has none.
_CORNERS = (0, 0, 3, 4, 8)
# Share of strokes that are straight, bent, or closed.
_STRAIGHT, _BENT = 0.3, 0.85


class Drawings:
    """Drawn classes, each a few strokes that every sample draws anew.

    A class is one to five strokes, straight, bent or closed, and the plate
    that they are on when they are a sign: round or with corners, with a rim
    or without. Samples differ as if by hand.

    Attributes:
        name: `"drawings"`.
        classes: Names of the classes.
        images: `(n, SIZE, SIZE, 3)` uint8, from 0 to 255: how much of a pixel
            is ink, plate (its rim too), and rim.
        tones: `(n, 3, 3)` float32, the colours of ink, plate and rim of each
            sample as a sign, the same for all samples of a class.
    """

    name = "drawings"

    def __init__(self, classes: int = CLASSES, samples: int = SAMPLES) -> None:
        self.classes = tuple(str(i) for i in range(classes))
        self._samples = samples
        rng = np.random.Generator(np.random.PCG64(0))
        images, tones = [], []
        for _ in range(classes):
            strokes = _draw_class(rng)
            plate = _draw_plate(rng)
            for _ in range(samples):
                images.append(_draw_sample(strokes, plate, rng))
            tones += [_draw_tones(rng)] * samples
        self.images = np.stack(images)
        self.tones = np.stack(tones)

    def items(self, class_name: str) -> Sequence[Item]:
        """Returns the samples of a class; their keys are positions."""
        first = int(class_name) * self._samples
        return tuple(Item(i, i) for i in range(first, first + self._samples))

    def superclass(self, class_name: str) -> None:
        """Returns None: any drawings may meet in an episode."""


def _draw_class(rng: np.random.Generator) -> list[np.ndarray]:
    """Draws strokes: control points `(4, 2)`, and width and kind behind."""
    strokes, last = [], None
    width = rng.uniform(0.02, 0.045)
    if rng.uniform() < 0.25:
        width *= 2.5  # A pictogram.
    for _ in range(rng.integers(1, 6)):
        kind = rng.uniform()
        points = rng.uniform(0.14, 0.86, (4, 2))
        if last is not None and rng.uniform() < 0.5:
            points[0] = last
        if kind < _STRAIGHT:
            share = np.array([[0.0], [1 / 3], [2 / 3], [1.0]])
            points = points[0] + share * (points[3] - points[0])
        last = points[3]
        strokes.append((points, width, kind >= _BENT))
    return strokes


def _draw_plate(rng: np.random.Generator) -> tuple[int, float, float]:
    """Draws corners, where the first is, and the width of the rim."""
    corners = int(rng.choice(_CORNERS))
    turn = rng.choice([0.0, np.pi, np.pi / max(corners, 1)])
    return corners, turn, float(rng.choice([0.0, 0.1, 0.16]))


def _draw_tones(rng: np.random.Generator) -> np.ndarray:
    """Draws colours of ink, plate and rim that can be told apart."""
    while True:
        tones = rng.uniform(0, 255, (3, 3))
        if rng.uniform() < 0.6:  # As most signs: white, black, a strong one.
            strong = rng.permutation([rng.uniform(150, 255), 30.0, 30.0])
            white, black = np.full(3, 240.0), np.full(3, 25.0)
            order = rng.permutation(3)
            tones = np.stack([strong, white, black])[order]
        if np.abs(tones[0] - tones[1]).sum() > 200:
            return tones.astype(np.float32)


def _draw_sample(strokes, plate, rng: np.random.Generator) -> np.ndarray:
    """Draws a class once more, as ink, plate and rim."""
    axis = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
    ink = np.zeros((SIZE, SIZE), np.float32)
    stretch = rng.uniform(0.8, 1.25)
    share = np.linspace(0, 1, _POINTS)[:, None]
    for points, width, closed in strokes:
        points = points + rng.normal(0, _SHAKE, points.shape)
        line = _ellipse(points) if closed else _bezier(points, share)
        line = line.astype(np.float32)
        square = (axis[None, :] - line[:, :1]) ** 2
        other = (axis[None, :] - line[:, 1:]) ** 2
        distance = np.sqrt(
            np.min(other[:, :, None] + square[:, None, :], axis=0)
        )
        stroke = (width * stretch - distance) * SIZE + 0.5
        ink = np.maximum(ink, np.clip(stroke, 0, 1))
    inside = _plate_depth(axis, plate)
    on_plate = np.clip(inside * SIZE + 0.5, 0, 1)
    rim = on_plate * np.clip((plate[2] - inside) * SIZE + 0.5, 0, 1)
    if not plate[2]:
        rim = np.zeros_like(ink)
    return np.round(255 * np.stack([ink, on_plate, rim], -1)).astype(np.uint8)


def _bezier(points: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Returns points of a cubic curve."""
    a, b, c, d = points
    s = 1 - t
    return s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d


def _ellipse(points: np.ndarray) -> np.ndarray:
    """Returns points of the ellipse that two control points span."""
    angle = np.linspace(0, 2 * np.pi, 2 * _POINTS)[:, None]
    middle, reach = (points[0] + points[1]) / 2, (points[1] - points[0]) / 2
    reach = np.sign(reach) * np.maximum(np.abs(reach), 0.06)
    return middle + reach * np.concatenate(
        [np.cos(angle), np.sin(angle)], axis=1
    )


def _plate_depth(axis: np.ndarray, plate: tuple) -> np.ndarray:
    """Returns how deep each pixel lies inside the plate, below 0 outside."""
    corners, turn, _ = plate
    across, down = axis[None, :] - 0.5, axis[:, None] - 0.5
    if not corners:
        return 0.47 - np.sqrt(across**2 + down**2)
    angle = turn + np.arange(corners) * 2 * np.pi / corners
    sides = [
        0.5 * np.cos(np.pi / corners) - across * np.sin(a) - down * np.cos(a)
        for a in angle
    ]
    return np.min(sides, axis=0)
