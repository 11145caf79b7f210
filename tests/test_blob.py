"""The reader of blobs: of the format, whole and undamaged, or refused."""

import struct
import zlib

import numpy as np
import pytest
from blob_versions import longer
from exported_nets import build_planned

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import read_blob


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blob")
    return ktt.export_micro(build_planned(), folder).blob.read_bytes()


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"X", "magic="),
        (4, b"\2", "major=1"),
        (8, b"\1\2\3\4", "byte_order="),
        (12, b"\xff", "Expected a whole"),
        (20, b"\0", "header_size=0"),
        (300, b"\xa5", "undamaged"),
    ],
)
def test_other_bytes_are_refused(data, at, value, message):
    changed = data[:at] + value + data[at + len(value) :]
    with pytest.raises(ValueError, match=message):
        read_blob(changed)


def test_every_truncation_is_refused(data):
    for size in range(len(data)):
        with pytest.raises(ValueError, match="Expected"):
            read_blob(data[:size])


def test_a_later_minor_version_is_read(data):
    """Longer records and another section, as docs/format.md allows."""
    before = read_blob(data)
    after = read_blob(longer(data))
    assert before.operations == after.operations
    places = {"kernel": 0, "bias": 0}
    for old, new in zip(before.layers, after.layers, strict=True):
        assert old | places == new | places
    for old, new in zip(before.weights, after.weights, strict=True):
        np.testing.assert_array_equal(old[0], new[0])
        np.testing.assert_array_equal(old[1], new[1])


def test_the_seal_is_that_of_the_format(data):
    magic, major, minor, order, size, crc = struct.unpack("<4sHHIII", data[:20])
    assert (magic, major, minor, order) == (b"TTNB", 1, 0, 0x01020304)
    assert (size, crc) == (len(data), zlib.crc32(data[:16] + data[20:]))
