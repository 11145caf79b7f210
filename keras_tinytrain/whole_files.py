"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a place to write to, which becomes a file in one step.

    What is written is complete on the disk before it takes the place of the
    file that is there. Of anything that fails nothing stays behind.

    Args:
        path: The file; made with its folder when it is not there.

    Yields:
        The place to write to, of the same suffix.

    Raises:
        OSError: If it cannot be written. The file is as before.

    Example:

    >>> with whole_file("build/net.keras") as part:
    ...     net.save(part)
    """
    path = pathlib.Path(path)
    part = path.with_name(f"part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        there = (
            "The one before it is safe" if path.exists() else "None is there"
        )
        remedy = "give another place"
        if error.errno in _NO_ROOM:
            remedy = "make room and run the same again"
        raise OSError(
            error.errno,
            f"Expected to write {str(path)!r}. Received: "
            f"{error.strerror or error}. {there}; {remedy}",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
