"""The records file: a line of JSON for each episode, safe from any kill.

The first line says format, version and protocol. Each further line is the
record of one episode, or names a dataset that was asked for and is not there.
A line is written whole and reaches the disk before the next one begins; what
a kill leaves of the last line is cut off when the file is opened again. A
record without precision was made before there was a choice: it is float32.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import pathlib
import stat
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = "keras_tinytrain.records"
VERSION = 1
# What any first line begins with, however little of it was written.
_START = f'{{"format": "{FORMAT}", '.encode()
KEY = (
    "net",
    "weights",
    "precision",
    "dataset",
    "method",
    "seed",
    "episode",
)
# What the net of a record computes in.
PRECISIONS = FLOAT32, INT8 = "float32", "int8"


@dataclasses.dataclass
class Records:
    """What a records file holds.

    Attributes:
        protocol: The settings that all episodes share.
        episodes: The records, in the order of the file.
        missing: Datasets that were asked for and were not there.
    """

    protocol: dict[str, Any]
    episodes: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)


def record_key(record: Mapping[str, Any]) -> tuple:
    """Returns what tells a record from all others."""
    return tuple(record[name] for name in KEY)


def read_records(path: str | os.PathLike) -> Records:
    """Reads a records file, which may be growing.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no records file of this version, or damaged.
    """
    path = pathlib.Path(path)
    records, _ = _parse(path, path.read_bytes())
    if records is None:
        raise ValueError(
            f"Expected a records file. Received: {str(path)!r}, which is empty"
        )
    return records


class RecordsFile:
    """A records file to add to, which no other run can open meanwhile.

    The lock is the operating system's: it ends with the process, however
    that ends.

    Args:
        path: The file; made with its folder when it is not there.
        protocol: The settings of what will be added.

    Attributes:
        records: What the file holds.

    Raises:
        BlockingIOError: If another run has it open.
        ValueError: If it is no records file of this version, damaged, or of
            another protocol.

    Example:

    >>> with RecordsFile("build/records.jsonl", protocol) as file:
    ...     file.add(record)
    """

    def __init__(
        self, path: str | os.PathLike, protocol: Mapping[str, Any]
    ) -> None:
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._open(dict(protocol))
        except BaseException:
            self.close()
            raise

    def _open(self, protocol: dict[str, Any]) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise ValueError(
                "Expected a regular file for records. Received: "
                f"{str(self.path)!r}"
            )
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                error.errno,
                "Expected a records file that no other run writes. Received: "
                f"{str(self.path)!r}, which one does. Wait for it, or give "
                "another file",
            ) from None
        records, self._size = _parse(self.path, self.path.read_bytes())
        if records is None or not records.episodes:
            # Nothing to lose: the settings of a run that failed may change.
            records, self._size = Records(protocol), 0
        os.ftruncate(self._file, self._size)
        os.lseek(self._file, 0, os.SEEK_END)
        if not self._size:
            head = {"format": FORMAT, "version": VERSION, "protocol": protocol}
            self._append(head)
        _check_protocol(self.path, records.protocol, protocol)
        self.records = records
        self._keys = {record_key(record) for record in records.episodes}

    def __enter__(self) -> RecordsFile:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __contains__(self, key: tuple) -> bool:
        return key in self._keys

    def close(self) -> None:
        """Closes the file and gives up the lock."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds the record of an episode; it is on the disk on return.

        Raises:
            OSError: If it cannot be written. The file is as before.
            ValueError: If there is one for this episode.
        """
        key = record_key(record)
        if key in self._keys:
            raise ValueError(
                f"Expected a new episode. Received: one with a record, {key}"
            )
        self._append(record)
        self._keys.add(key)
        self.records.episodes.append(dict(record))

    def add_missing(self, dataset: str) -> None:
        """Notes, once, that a dataset is not there."""
        if dataset not in self.records.missing:
            self._append({"dataset": dataset, "missing": True})
            self.records.missing.append(dataset)

    def _append(self, value: Mapping[str, Any]) -> None:
        line = json.dumps(value).encode() + b"\n"
        try:
            rest = line
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            # Half a line would be in the way of what another run adds.
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, 0, os.SEEK_END)
            raise OSError(
                error.errno,
                f"Expected to add a line to {str(self.path)!r}. Received: "
                f"{error.strerror}. The {self._size:,} bytes before it are "
                "safe; make room and run the same again",
            ) from error
        self._size += len(line)


def merge(parts: Sequence[Records]) -> Records:
    """Joins records files of one protocol.

    Raises:
        ValueError: If there is none, if protocols differ, or if an episode
            is there twice.
    """
    if not parts:
        raise ValueError("Expected at least one records file. Received: none")
    joined = Records(parts[0].protocol)
    for part in parts:
        _check_protocol("the files", part.protocol, joined.protocol)
        joined.episodes += part.episodes
        joined.missing += [x for x in part.missing if x not in joined.missing]
    _check_once("the files", joined.episodes)
    return joined


def _parse(path: pathlib.Path, data: bytes) -> tuple[Records | None, int]:
    """Reads all whole lines; returns also how many bytes they take."""
    size = data.rfind(b"\n") + 1
    records = None
    if not size and data[: len(_START)] != _START[: len(data)]:
        _check_head(path, {})  # Of something else nothing is cut off.
    for number, line in enumerate(data[:size].splitlines(), 1):
        value = _object(line)
        if number == 1:
            _check_head(path, value)
            records = Records(value["protocol"])
        elif value.get("missing") is True and "dataset" in value:
            records.missing.append(value["dataset"])
        elif {*KEY, "accuracy"} <= {*value, "precision"}:
            value.setdefault("precision", FLOAT32)
            records.episodes.append(value)
        else:
            raise ValueError(
                f"Expected line {number} of {str(path)!r} to be a record. "
                f"Received: {line[:80]!r}. Take the line out"
            )
    _check_once(path, records.episodes if records else [])
    return records, size


def _object(line: bytes) -> dict[str, Any]:
    """Reads a line; an empty dictionary when it is no JSON object."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _check_head(path, head: Mapping[str, Any]) -> None:
    found = head.get("format"), head.get("version")
    if found != (FORMAT, VERSION) or not isinstance(head.get("protocol"), dict):
        raise ValueError(
            f"Expected {str(path)!r} to be a records file, with format="
            f"{FORMAT!r}, version={VERSION} and a protocol in its first line. "
            f"Received: format={found[0]!r}, version={found[1]!r}. Give "
            "another file, or use the version of keras_tinytrain that wrote it"
        )


def _check_protocol(path, found: Mapping, wanted: Mapping) -> None:
    names = sorted(
        name
        for name in {*found, *wanted}
        if found.get(name) != wanted.get(name)
    )
    if names:
        kept, given = (
            ", ".join(f"{name}={pair.get(name)!r}" for name in names)
            for pair in (found, wanted)
        )
        raise ValueError(
            f"Expected one protocol for all records of {path}: {kept}. "
            f"Received: {given}. Give the same settings, or another file"
        )


def _check_once(path, episodes: Sequence[Mapping]) -> None:
    seen = set()
    for record in episodes:
        key = record_key(record)
        if key in seen:
            raise ValueError(
                f"Expected every episode once in {path}. Received: {key} twice"
            )
        seen.add(key)
