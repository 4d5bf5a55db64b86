"""A lock between processes and between threads, which the system takes back from a process that dies."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lascompile.errors import LascompileError

_POLL_S = 0.005


@contextmanager
def locked(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of the file `path`: an empty file beside it, since `path` itself may be replaced meanwhile.

    Raises:
        LascompileError: Another process has held it for `timeout_s`.
        OSError: The folder cannot be written to; the error names `path`.
    """
    try:
        # Never removed: who waits for a removed file would hold the lock together with the maker of the next one.
        file = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    try:
        _acquire(file, path, timeout_s)
        try:
            yield
        finally:
            # Said, not left to close(): a child forked meanwhile has the file open too.
            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


def _acquire(file: int, path: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
        if time.monotonic() >= deadline:
            raise LascompileError(
                f"{path} has been locked by another process for {timeout_s:g} s; wait for it, or end it, and try again"
            )
        time.sleep(_POLL_S)
