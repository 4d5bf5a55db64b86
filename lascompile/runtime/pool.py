"""The threads of a library, which come with it; see `lascompile/native/pool.h`."""

from __future__ import annotations

import _ctypes
import ctypes
import weakref
from pathlib import Path


class ThreadPool:
    """The pool that was linked into the library `path`. All who load that file in a process share it.

    Attributes:
        enter: `enter(threads)`: what the calling thread launches until `leave()` runs on so many threads, itself
            included; on fewer where it may not use as many CPUs, or where others call at the same time.
        leave: The end of that.
    """

    def __init__(self, path: Path) -> None:
        # These are short: not worth giving Python's lock to another thread, and getting it back from that.
        self._library = ctypes.PyDLL(str(path.resolve()))
        self.enter = self._library.lascompile_pool_enter
        self.leave = self._library.lascompile_pool_leave
        weakref.finalize(self, _close, self._library).atexit = False

    @property
    def workers(self) -> int:
        """Threads of the pool that exist now, callers not counted."""
        count: int = self._library.lascompile_pool_workers()
        return count


def _close(library: ctypes.PyDLL) -> None:
    """Nobody calls any more; others who have loaded the file get new threads when they do."""
    library.lascompile_pool_stop()
    _ctypes.dlclose(library._handle)
