"""Two names that change places, with no moment at which one of them is missing."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_THIS_FOLDER = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE
_NOT_POSSIBLE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def exchange(first: Path, second: Path) -> bool:
    """Let `first` and `second`, which both exist, change places at once.

    Returns:
        False where the system, its C library or the file system has no such call, as NFS has not.

    Raises:
        OSError: They cannot be renamed.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    done = call(_THIS_FOLDER, os.fsencode(first), _THIS_FOLDER, os.fsencode(second), _EXCHANGE)
    if done == 0:
        return True
    reason = ctypes.get_errno()
    if reason in _NOT_POSSIBLE:
        return False
    raise OSError(reason, os.strerror(reason), str(second))
