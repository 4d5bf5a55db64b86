"""A file that appears under its name when it is whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lascompile.files.aside import PART, beside, remove, renamed_error, sweep, sync_folder


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when all went well, and vanishes otherwise.

    A link is followed, and the permissions of an older file stay.

    Raises:
        OSError: The file cannot be written; the error names `path`.
    """
    place = path.resolve()
    try:
        if place.exists() and not place.is_file():
            raise OSError(errno.EINVAL, "it is no plain file")
        sweep(place)
        aside, file = _begin(place)
        try:
            with file:
                yield file
                file.flush()
                if place.exists():
                    os.fchmod(file.fileno(), place.stat().st_mode & 0o7777)
                os.fsync(file.fileno())
                aside.replace(place)
        finally:
            remove(aside)
        sync_folder(place.parent)
    except OSError as error:
        raise renamed_error(error, path) from error


def _begin(place: Path) -> tuple[Path, IO[bytes]]:
    """A new file beside `place`, held against those who sweep; another one if it was swept before that."""
    while True:
        aside = beside(place, PART)
        file = aside.open("xb")
        with contextlib.suppress(OSError):  # a file system without locks, where nothing is ever swept
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        if aside.exists():
            return aside, file
        file.close()


def write_whole(path: Path, content: bytes | str) -> None:
    """Write `content`, text as UTF-8, to the file `path`.

    Raises:
        OSError: It cannot be written; the older file stays.
    """
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
