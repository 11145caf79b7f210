"""Turns drawings into images: ink on paper, or signs before photographs."""

from __future__ import annotations

import tensorflow as tf

# Share of the episodes that are black on white, and white on black; of the
# others every image has colours of its own.
_BLACK, _WHITE = 0.4, 0.3
# Ink and paper of such colours differ by so much, of 255.
_CONTRAST = 80.0
# Share of the episodes whose signs have the same colours.
_ALIKE = 0.5
# Widths in pixels that signs are reduced to, as if seen from afar.
_FAR = (16, 24, 40)


def paint_ink(layers: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Paints ink on paper.

    Args:
        layers: `(n, height, width, 3)` from 0 to 255; the first one is ink.
        seed: `(2,)` integers.

    Returns:
        Images of the same shape and range.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    draw = tf.random.stateless_uniform([], seeds[0])
    shape = [2, tf.shape(layers)[0], 1, 1, 3]
    paper, ink = tf.unstack(
        tf.random.stateless_uniform(shape, seeds[1], 0.0, 255.0)
    )
    apart = tf.reduce_mean(ink - paper, axis=-1, keepdims=True)
    side = tf.where(apart < 0, -1.0, 1.0)
    more = side * tf.nn.relu(_CONTRAST - tf.abs(apart)) / 2
    ink, paper = ink + more, paper - more
    black = draw < _BLACK
    white = (draw >= _BLACK) & (draw < _BLACK + _WHITE)
    paper = tf.where(black, 255.0, tf.where(white, 0.0, paper))
    ink = tf.where(black, 0.0, tf.where(white, 255.0, ink))
    return paper + (ink - paper) * layers[..., :1] / 255.0


def paint_signs(
    layers: tf.Tensor, tones: tf.Tensor, behind: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Paints signs as a camera sees them: light, distance, noise.

    Args:
        layers: `(n, height, width, 3)` from 0 to 255: ink, plate, rim.
        tones: `(n, 3, 3)`, their colours.
        behind: `(n, height, width, 3)`, what is seen behind the signs.
        seed: `(2,)` integers.

    Returns:
        Images like `behind`, from 0 to 255.
    """
    seeds = tf.unstack(tf.random.split(seed, 5))
    alike = tf.random.stateless_uniform([], seeds[4]) < _ALIKE
    tones = tf.where(alike, tones[:1], tones)
    ink, plate, rim = tf.split(layers / 255.0, 3, axis=-1)
    colours = [tones[:, None, None, i] for i in range(3)]
    images = behind + (colours[1] - behind) * plate
    images += (colours[2] - images) * rim
    images += (colours[0] - images) * ink * (plate - rim)
    size = tf.shape(layers)[1:3]
    count = tf.shape(layers)[0]
    light = tf.random.stateless_uniform(
        [2, count, 1, 1, 1], seeds[0], -1.0, 1.0
    )
    images = images * tf.exp(0.7 * light[0] - 0.35) + 25.0 * light[1]
    chosen = tf.random.stateless_uniform(
        [], seeds[1], 0, len(_FAR), dtype=tf.int32
    )
    width = tf.gather(_FAR, chosen)
    far = tf.image.resize(images, [width, width], antialias=True)
    far = tf.image.resize(far, size)
    near = tf.random.stateless_uniform([count, 1, 1, 1], seeds[2])
    noise = 6.0 * tf.random.stateless_normal(tf.shape(images), seeds[3])
    return near * images + (1 - near) * far + noise
