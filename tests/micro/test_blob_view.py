"""The view of a blob in C++ sees what Python does."""

import ctypes
import zlib

import model_view
import numpy as np
import pytest
from blob_versions import longer
from model_view import SEEDS, View

import keras_tinytrain as ktt
from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob


@pytest.fixture(scope="module")
def library(compiler, build_folder):
    return model_view.load_library(compiler, build_folder)


def check_same(view, blob):
    """Compares all that a view gives with what Python has read."""
    assert view.open() == ("kNone", 0, 0, 0)
    counts, base = view.counts()
    assert base == blob.base
    choices = blob.plan or []
    assert counts == [
        len(blob.tensors),
        len(blob.operations),
        len(blob.layers),
        len(choices),
    ]
    for name, record, expected in (
        ("tensors", layout.TENSOR, blob.tensors),
        ("operations", layout.OPERATION, blob.operations),
        ("head", layout.HEAD, [blob.head]),
        ("training", layout.TRAINING, [blob.training]),
        ("plan", layout.PLAN, [record for record, _ in choices]),
        ("layers", layout.LAYER, blob.layers),
        ("network", layout.NETWORK, [blob.network]),
    ):
        for i, fields in enumerate(expected):
            actual = view.record(name, record, i)
            for text in {"name", "cut"} & set(fields):
                at = view.call("name", actual[text])
                actual[text] = ctypes.string_at(at).decode()
            assert actual == fields
    for i, (kernel, bias) in enumerate(blob.weights):
        actual, at = view.numbers(i, kernel, bias=False)
        assert at % 16 == 0
        np.testing.assert_array_equal(actual, kernel.ravel())
        if not len(bias):
            assert not view.call("weights", i, 1)
            continue
        actual, at = view.numbers(i, bias, bias=True)
        assert at % 16 == 0
        np.testing.assert_array_equal(actual, bias)
    for i, (_, indices) in enumerate(choices):
        at = view.call("indices", i)
        actual = np.frombuffer(ctypes.string_at(at, 2 * len(indices)), "<u2")
        np.testing.assert_array_equal(actual, indices)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_it_sees_what_python_reads(seed, library):
    data = seed.read_bytes()
    check_same(View(library, data), read_blob(data))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_it_sees_a_later_minor_version(seed, library):
    data = longer(seed.read_bytes())
    assert layout.HEADER.unpack(data)["minor"] == 1
    check_same(View(library, data), read_blob(data))


@pytest.mark.parametrize("from_pixels", [False, True])
@pytest.mark.parametrize("name", ["mcunet", "mobilenet_v2", "proxyless_nas"])
def test_it_sees_a_net_of_the_zoo(name, from_pixels, library, tmp_path):
    model = ktt.wrap(ktt.zoo.build(name, weights=None))
    budget = ktt.Budget(memory="1.1MB", macs=6_000_000)
    result = ktt.export_micro(
        model, tmp_path, budget=budget, from_pixels=from_pixels
    )
    data = result.blob.read_bytes()
    check_same(View(library, data), read_blob(data))


def test_it_opens_inside_a_larger_region_at_any_multiple_of_four(library):
    data = SEEDS[0].read_bytes() + bytes(100)
    for shift in range(16):
        flaw = View(library, data, shift).open()
        wanted = ("kMisaligned", 0, 4, shift % 4) if shift % 4 else "kNone"
        assert flaw == wanted or flaw[0] == wanted


def test_nothing_is_refused(library):
    view = View(library, b"")
    view.address = None
    assert view.open() == ("kTruncated", 0, 48, 0)


def test_crc32_is_that_of_zlib(library):
    data = np.random.default_rng(0).bytes(1001)
    for size in (0, 1, 2, 3, 1001):
        for split in {0, 1, size // 2, size} - {size + 1}:
            if split > size:
                continue
            actual = library.crc32_in_parts(
                data, ctypes.c_size_t(size), ctypes.c_size_t(split)
            )
            assert actual == zlib.crc32(data[:size])
