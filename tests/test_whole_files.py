"""A file is there, whole; or what was there before is."""

import errno
import os

import pytest
from full_disk import full_disk

from keras_tinytrain.whole_files import whole_file


def write(path, text):
    with whole_file(path) as part:
        part.write_text(text)


def write_latin(path, text):
    with whole_file(path) as part, part.open("w", encoding="latin1") as file:
        for letter in text:
            file.write(letter)


def test_a_file_appears_when_it_is_written(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for text in ("first", "second"):
        with whole_file(path) as part:
            part.write_text(text)
            assert part.suffix == ".txt"
            assert path.exists() == (text == "second")
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_full_disk_keeps_the_file_before(tmp_path):
    path = tmp_path / "file.txt"
    message = r"to write '.*file.txt'. Received: File too large. None is there"
    with full_disk(100), pytest.raises(OSError, match=message):
        write(path, "x" * 101)
    assert not os.listdir(tmp_path)
    write(path, "before")
    message = "The one before it is safe; make room and run the same again"
    with full_disk(100), pytest.raises(OSError, match=message) as error:
        write(path, "x" * 101)
    assert error.value.errno == errno.EFBIG
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_an_error_while_writing_keeps_the_file_before(tmp_path):
    path = tmp_path / "file.txt"
    write(path, "before")
    # It cannot encode the last letter, and has written the others.
    with pytest.raises(UnicodeEncodeError):
        write_latin(path, "half" * 10_000 + "\u1234")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_place_that_is_none_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=f"'{path}'.*; give another place"):
            write(path, "text")
    assert os.listdir(tmp_path) == ["file"]
