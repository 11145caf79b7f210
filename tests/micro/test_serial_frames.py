"""Frames on a bad line: what is damaged is refused, the next one is read."""

import subprocess
import zlib

import kernel_library
import numpy as np
import pytest
from model_view import DEVICE, HERE, SOURCE, STRICT, build

from keras_tinytrain.micro.serial_frames import Frame, FrameReader, stuff

CAPACITY = 700
FILES = [SOURCE / "tinytrain" / f"{n}.cpp" for n in ("serial_frames", "crc32")]
BAD_FORMAT, TOO_SMALL, CORRUPT = -4, -1, -6


def payloads():
    """Runs with and without zeros, of lengths around a whole block."""
    rng = np.random.default_rng(0)
    yield from (b"", b"\0", b"\1", bytes(5), b"a\0", b"\0a", b"\xff" * 7)
    for size in (240, *range(252, 258), 506, 508, 509, CAPACITY):
        yield bytes(size)
        yield b"\7" * size
        yield rng.integers(0, 256, size, np.uint8).tobytes()


def frames():
    for i, payload in enumerate(payloads()):
        yield Frame(1 + i % 255, i % 256, 999 * i % 65536, payload)


GOOD = Frame(7, 3, 513, b"good\0\0" + bytes(range(9)))
NEXT = Frame(9, 4, 1, b"next")


@pytest.fixture(scope="module")
def read(compiler, tmp_path_factory):
    """Returns what the device makes of bytes, line by line."""
    path = tmp_path_factory.mktemp("frames") / "read_frames"
    flags = ["-std=gnu++11", *kernel_library.SANITIZE, *STRICT]
    flags += ["-fno-sanitize-recover=all", HERE / "read_frames.cpp"]
    build(compiler, path, *flags, *FILES)

    def run(data, capacity=CAPACITY, piece=3):
        result = subprocess.run(
            [path, str(capacity), str(piece)], input=data, capture_output=True
        )
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout.decode().splitlines()

    return run


def line(frame):
    """What is printed of a frame that came through."""
    return f"frame {frame.encode().hex()}"


@pytest.mark.parametrize("piece", [1, 100, 10_000])
def test_both_sides_write_and_read_the_same(read, piece):
    data = b"".join(frame.encode() for frame in frames())
    assert read(data, piece=piece) == [line(frame) for frame in frames()]
    reader = FrameReader()
    assert reader.take(data) == [*frames()]
    assert reader.refused == 0


def test_bytes_by_hand():
    """The runs are `11 22`, nothing, `33`."""
    assert stuff(b"\x11\x22\0\0\x33") == b"\x03\x11\x22\x01\x02\x33"
    assert stuff(b"\1" * 254) == b"\xff" + b"\1" * 254
    assert stuff(b"\1" * 254 + b"\0") == b"\xff" + b"\1" * 254 + b"\1\1"
    crc = zlib.crc32(bytes([5, 0, 3, 0, 0, 0, 0, 0])).to_bytes(4, "little")
    header = b"\x02\x05\x02\x03\x01\x01\x01\x01"
    assert Frame(5, 0, 3, b"").encode() == b"\0" + header + stuff(crc)


def test_a_frame_cut_anywhere_costs_no_other(read):
    """Where a frame ends early, both say so, and read the next one."""
    for frame in frames():
        data = frame.encode()
        cuts = range(0, len(data), 1 if len(data) < 400 else 37)
        pieces = b"".join(data[:cut] + NEXT.encode() for cut in cuts)
        found = read(pieces)
        refused = [row.split() for row in found if row != line(NEXT)]
        assert len(found) - len(refused) == len(cuts)
        assert len(refused) == sum(cut > 1 for cut in cuts)
        whole = len(frame.payload) + 12
        for _, code, requested, available, missing in refused:
            assert int(code) == BAD_FORMAT
            assert int(requested) in (8, whole)
            assert int(missing) == int(requested) - int(available)
        reader = FrameReader()
        assert reader.take(pieces) == [NEXT] * len(cuts)
        assert reader.refused == len(refused)


def test_no_flipped_bit_is_accepted(read):
    for frame in (GOOD, Frame(1, 1, 2, b"\1" * 300), Frame(1, 0, 0, bytes(5))):
        data = frame.encode()
        flipped = b""
        for bit in range(8 * len(data)):
            bad = bytearray(data)
            bad[bit // 8] ^= 1 << bit % 8
            flipped += bytes(bad) + NEXT.encode()
        found = read(flipped)
        kept = [row for row in found if row.startswith("frame")]
        assert kept == [line(NEXT)] * (8 * len(data))
        codes = {int(row.split()[1]) for row in found if row not in kept}
        assert codes == {BAD_FORMAT, TOO_SMALL, CORRUPT}
        assert FrameReader(CAPACITY).take(flipped) == [NEXT] * 8 * len(data)


def test_noise_around_frames(read):
    rng = np.random.default_rng(1)
    for size in (1, 10, 1000):
        noise = rng.integers(0, 256, size, np.uint8).tobytes()
        text = noise + GOOD.encode() + noise + NEXT.encode() + noise
        kept = [row for row in read(text) if row.startswith("frame")]
        assert kept == [line(GOOD), line(NEXT)]
        assert FrameReader().take(text) == [GOOD, NEXT]
    # Lines that a sketch prints are none of a frame.
    text = b"hello\r\n" + GOOD.encode() + b"what?\n" + NEXT.encode()
    assert read(text) == [line(GOOD), line(NEXT)]


def test_too_long_is_refused_before_it_comes(read):
    """With the numbers; not a byte of it is written anywhere."""
    for size in (17, 18, 1000):
        frame = Frame(1, 2, 3, bytes(size))
        begun = frame.encode()[:14]
        numbers = f"{TOO_SMALL} {size} 16 {size - 16}"
        expected = [f"refused {numbers}", line(NEXT)]
        assert read(frame.encode() + NEXT.encode(), 16) == expected
        assert read(begun + NEXT.encode(), 16) == expected
        reader = FrameReader(16)
        assert reader.take(frame.encode() + NEXT.encode()) == [NEXT]
        assert reader.refused == 1
    huge = b"\0" + stuff(b"\1\1\1\1\xff\xff\xff\xff") + b"\xff" * 99
    numbers = f"{TOO_SMALL} {2**32 - 1} 16 {2**32 - 17}"
    assert read(huge + NEXT.encode(), 16) == [
        f"refused {numbers}",
        line(NEXT),
    ]


@pytest.mark.parametrize("standard", ["gnu++11", "gnu++17"])
def test_it_compiles_for_old_and_new_cores(standard, compiler, tmp_path):
    for file in FILES:
        flags = [f"-std={standard}", "-Os", "-c", *STRICT, *DEVICE]
        build(compiler, tmp_path / "object.o", *flags, file)
