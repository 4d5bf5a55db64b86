"""The threads of a library, which come with it; see `lascompile/native/pool.h`."""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import weakref
from collections.abc import Iterator
from pathlib import Path


class ThreadPool:
    """The pool that was linked into the library `path`. All who load that file in a process share it."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path.resolve()))
        weakref.finalize(self, _close, self._library).atexit = False

    @contextlib.contextmanager
    def entered(self, threads: int) -> Iterator[None]:
        """What the calling thread launches inside runs on `threads` threads, itself included.

        On fewer where it may not use as many CPUs, or where others call at the same time.
        """
        self._library.lascompile_pool_enter(threads)
        try:
            yield
        finally:
            self._library.lascompile_pool_leave()

    @property
    def workers(self) -> int:
        """Threads of the pool that exist now, callers not counted."""
        count: int = self._library.lascompile_pool_workers()
        return count


def _close(library: ctypes.CDLL) -> None:
    """Nobody calls any more; others who have loaded the file get new threads when they do."""
    library.lascompile_pool_stop()
    _ctypes.dlclose(library._handle)
