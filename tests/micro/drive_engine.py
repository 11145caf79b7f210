"""Runs the engine through its life on the blobs of a folder.

python tests/micro/drive_engine.py LIBRARY FOLDER

Of each blob it chooses random channels, trains with each optimizer, then
scores and trains again, and asks for what is refused. It imports nothing but
NumPy, so that it starts fast under sanitizers, and the regions are memory of
their own, so that they see what is read or written beside.
"""

import ctypes
import sys
from pathlib import Path

import engine_library
import numpy as np
from engine_library import (
    ADAM,
    BAD_ARGUMENT,
    MISALIGNED,
    MOMENTUM,
    NOT_FINITE,
    OK,
    SGD,
    TOO_SMALL,
    WORSE,
    Engine,
)

WAY = 3


class Bare:
    """Memory of exactly so many bytes, at a multiple of 16."""

    def __init__(self, size: int):
        self.size = size
        self.bytes = np.empty(size, np.uint8)
        self.address = ctypes.c_void_p(self.bytes.ctypes.data)

    def check(self) -> None:
        """There is nothing to look at: the sanitizer does."""


def sizes_of(engine: Engine) -> tuple[list[int], tuple[int, ...]]:
    """Returns channels of the layers, and the shape of a sample."""
    sizes = np.zeros(engine.layers + 3, np.uint32)
    engine.call("engine_sizes", sizes)
    return [int(n) for n in sizes[3:]], tuple(int(n) for n in sizes[:3])


def life(engine: Engine, rng: np.random.Generator) -> None:
    """Trains, scores, and trains what is chosen then."""
    layers, shape = sizes_of(engine)
    samples = rng.normal(size=(4, *shape))
    for scores in (False, True):
        channels = [
            sorted(rng.permutation(n)[: rng.integers(0, n + 1)].tolist())
            for n in layers
        ]
        counts = [len(c) for c in channels]
        needed = [engine.training_bytes(counts)]
        needed += [engine.scoring_bytes()] * scores
        assert engine.init(*map(max, *needed, (0, 0)), rate=0.01) == OK
        if scores:
            assert engine.status("engine_begin_scoring") == OK
            for i, sample in enumerate(samples):
                assert engine.observe(sample, i % WAY) == OK
            assert engine.score(samples[0], 0) == OK
            assert engine.end_scoring() == OK
            assert np.isfinite(engine.scores()).all()
        assert engine.plan(channels) == OK
        for i, sample in enumerate(samples):
            assert engine.observe(sample, i % WAY) == OK
        assert engine.hold_out(samples[3], 0) == OK
        for step in range(3):
            assert engine.accumulate(samples[step], step % WAY)[0] == OK
            assert engine.update() == OK
        for i, sample in enumerate(samples):
            assert engine.revisit(sample, i % WAY) == OK
        assert engine.settle() == OK
        assert engine.hold_out(samples[3], 0) == OK
        if engine.judge() == WORSE:
            for i, sample in enumerate(samples):
                assert engine.observe(sample, i % WAY) == OK
        assert engine.predict(samples[3])[0] == OK
        keep(engine, samples[3])


def refusals(engine: Engine, rng: np.random.Generator) -> None:
    """Asks for what is refused, and learns nothing by it."""
    layers, shape = sizes_of(engine)
    every = [list(range(n)) for n in layers]
    sizes = engine.training_bytes(layers)
    for region in range(2):
        given = [n - (i == region) for i, n in enumerate(sizes)]
        assert engine.init(*given, rate=0.01) == OK
        assert engine.plan(every) == TOO_SMALL
        assert engine.numbers == (sizes[region], given[region], 1)
        for shift in range(1, 8):
            code = engine.init(*sizes, rate=0.01, shift={region: shift})
            assert code == MISALIGNED
    # A step of this length overflows.
    assert engine.init(*sizes, rate=3e38, momentum=0.5) == OK
    assert engine.plan(every) == OK
    good, bad = rng.normal(size=(2, *shape))
    bad.flat[-1] = np.nan
    for label in range(WAY):
        assert engine.observe(good * (label + 1), label) == OK
    assert engine.predict(good)[0] == OK  # Sums become class vectors.
    before = engine.trained()
    for sample, label in ((bad, 0), (good, WAY), (good, 2**31 - 1)):
        assert engine.accumulate(sample, label)[0] == BAD_ARGUMENT
        assert engine.observe(sample, label) == BAD_ARGUMENT
    assert engine.predict(bad)[0] == BAD_ARGUMENT
    code, _ = engine.accumulate(good, 1)
    assert code in (OK, NOT_FINITE)
    if code == OK and engine.update() == NOT_FINITE:
        np.testing.assert_array_equal(engine.trained(), before)
    code = engine.load(np.full(2048, 0xFF, np.uint8))
    assert code not in (OK, TOO_SMALL)


def keep(engine: Engine, sample: np.ndarray) -> None:
    """Saves and loads, if `work` of so small a net has room for the lists."""
    slots = np.zeros(2 * (engine.regions[0].size + 1024), np.uint8)
    before = engine.predict(sample)[2]
    code = engine.save(slots)
    if code == OK:
        code = engine.load(slots)
    assert code in (OK, TOO_SMALL)
    np.testing.assert_array_equal(engine.predict(sample)[2], before)


def main() -> None:
    """Drives all blobs."""
    engine_library.Region = Bare
    library = engine_library.load(Path(sys.argv[1]))
    rng = np.random.default_rng(0)
    paths = sorted(Path(sys.argv[2]).glob("*.ttnb"))
    for path in paths:
        for optimizer in (SGD, MOMENTUM, ADAM):
            life(Engine(library, path.read_bytes(), WAY, optimizer), rng)
            refusals(Engine(library, path.read_bytes(), WAY, optimizer), rng)
    print(f"{len(paths)} blobs")


if __name__ == "__main__":
    main()
