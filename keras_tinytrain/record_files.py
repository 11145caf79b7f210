"""The record files that tensorflow-datasets writes, read at any place."""

import contextlib
import os
import struct
from collections.abc import Iterator

FORMATS = ("tfrecord", "array_record")

# A TFRecord is its length, the checksum of the length, the data, the checksum
# of the data.
_HEAD = struct.Struct("<QI")
_CHECKSUM_BYTES = 4
_BUFFER_BYTES = 1 << 20


def iterate_records(path: str | os.PathLike) -> Iterator[tuple[int, bytes]]:
    """Reads a file from its beginning.

    Args:
        path: A file of one of `FORMATS`, as tensorflow-datasets names it.

    Yields:
        The place of each record, for `read_record`, and the record.

    Raises:
        ValueError: If the file is cut short, or of another format.
    """
    if _format(path) == "array_record":
        with _array_records(path) as reader:
            for place in range(reader.num_records()):
                yield place, reader.read([place])[0]
        return
    with open(path, "rb", buffering=_BUFFER_BYTES) as file:
        place, size = 0, os.path.getsize(path)
        while place < size:
            data = _next_record(file, path, place, size)
            yield place, data
            place += _HEAD.size + len(data) + _CHECKSUM_BYTES


def read_record(path: str | os.PathLike, place: int) -> bytes:
    """Reads one record.

    Args:
        path: A file of one of `FORMATS`.
        place: Where `iterate_records` found the record.

    Returns:
        The record.

    Raises:
        ValueError: If the file is cut short, or of another format.
    """
    if _format(path) == "array_record":
        with _array_records(path) as reader:
            return reader.read([place])[0]
    with open(path, "rb") as file:
        file.seek(place)
        return _next_record(file, path, place, os.path.getsize(path))


def _format(path):
    """Files are called `name-split.format-00000-of-00001`."""
    name = os.path.basename(path)
    for name_of_format in FORMATS:
        if f".{name_of_format}-" in name:
            return name_of_format
    raise ValueError(
        f"Expected a file of one of the formats {', '.join(FORMATS)}. "
        f"Received: {os.fspath(path)!r}; prepare the dataset once more "
        "without `file_format`"
    )


def _next_record(file, path, place, size):
    """Reads the record that the file is at, with its checksum."""
    head = file.read(_HEAD.size)
    length = _HEAD.unpack(head)[0] if len(head) == _HEAD.size else size
    if place + _HEAD.size + length + _CHECKSUM_BYTES > size:
        raise ValueError(
            f"Expected a whole record at byte {place}. Received: "
            f"{os.fspath(path)!r}, which is cut short or damaged; prepare "
            "the dataset once more"
        )
    data = file.read(length)
    file.read(_CHECKSUM_BYTES)
    return data


def _array_records(path):
    # It comes with tensorflow-datasets.
    from array_record.python.array_record_module import ArrayRecordReader

    return contextlib.closing(ArrayRecordReader(os.fspath(path)))
