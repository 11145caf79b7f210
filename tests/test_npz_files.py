"""Files of arrays: whole, the same, or refused."""

import numpy as np
import pytest

from keras_tinytrain.zoo.npz_files import json_array, read_npz, write_npz

ABOUT = {"name": "net", "steps": [1, 2]}


@pytest.fixture
def arrays():
    values = np.random.default_rng(0).normal(size=40).astype("float32")
    return {"head": json_array(ABOUT), "values": values}


@pytest.mark.parametrize("compress", [False, True])
def test_what_was_written_is_read(compress, arrays, tmp_path):
    path = tmp_path / "file.npz"
    data = write_npz(path, arrays, compress=compress)
    assert path.read_bytes() == data
    assert write_npz(path, arrays, compress=compress) == data
    found, about = read_npz(data, "head")
    assert about == ABOUT
    assert list(found) == ["values"]
    np.testing.assert_array_equal(found["values"], arrays["values"])


@pytest.mark.parametrize("compress", [False, True])
def test_damage_is_refused_or_does_no_harm(compress, arrays, tmp_path):
    """Any byte, or the end. A name may differ; its reader knows them all."""
    path, refused = tmp_path / "file.npz", 0
    data = write_npz(path, arrays, compress=compress)
    damaged = [data[:size] for size in range(len(data))]
    damaged += [
        data[:i] + bytes([byte ^ 0xFF]) + data[i + 1 :]
        for i, byte in enumerate(data)
    ]
    for other in damaged:
        try:
            found, about = read_npz(other, "head")
        except ValueError:
            refused += 1
            continue
        assert about == ABOUT
        for value in found.values():
            np.testing.assert_array_equal(value, arrays["values"])
    # All ends, and most bytes: the rest are dates and the like.
    assert refused > 1.5 * len(data)


@pytest.mark.parametrize("header", ["other", "values"])
def test_other_headers_are_refused(header, arrays, tmp_path):
    arrays["values"] = json_array([1, 2])
    data = write_npz(tmp_path / "file.npz", arrays)
    with pytest.raises(ValueError, match=header):
        read_npz(data, header)
