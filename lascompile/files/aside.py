"""Names beside a place for what is not whole yet, and how to tell which of them a killed process has left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

PART = "part"
"""Being written."""
OLD = "old"
"""Taken away, while the new one is about to come."""

_LONGEST_NAME = 180
"""Bytes of the place's name that go into the other one: a file system allows 255 in all."""


def beside(place: Path, kind: str) -> Path:
    """A new name beside `place`."""
    return place.with_name(f".{_stem(place)}.{secrets.token_hex(4)}.{kind}")


def found_beside(place: Path, kind: str) -> list[Path]:
    """What bears such a name."""
    pattern = re.compile(rf"\.{re.escape(_stem(place))}\.[0-9a-f]{{8}}\.{kind}")
    try:
        return sorted(path for path in place.parent.iterdir() if pattern.fullmatch(path.name))
    except OSError:
        return []


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep others from taking the file or folder `path` for one that a killed process has left."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks, where nothing is ever swept
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep(place: Path) -> None:
    """Remove what killed writers of `place` have left."""
    for path in found_beside(place, PART):
        with contextlib.suppress(OSError):  # of another user, or gone
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(path)
            finally:
                os.close(descriptor)


def remove(path: Path) -> None:
    """A file or folder that is ours, as far as that is possible."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def renamed_error(error: OSError, place: Path) -> OSError:
    """`error` about what the user asked for: a full disk names no file, and the name aside means nothing to anybody."""
    return OSError(error.errno, os.strerror(error.errno or 0), str(place))


def sync_folder(folder: Path) -> None:
    """Make sure that a new name in the folder outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stem(place: Path) -> str:
    return os.fsdecode(os.fsencode(place.name)[:_LONGEST_NAME])
