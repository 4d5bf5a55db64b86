"""Whether there is room for what others are about to write, who end the process where there is none."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path


def check_room(folder: Path, nbytes: int) -> None:
    """Check that a file of `nbytes` can be written to `folder`.

    Raises:
        OSError: The disk has not got so much left (ENOSPC), or the process may not write so large a file (EFBIG; the
            shell's `ulimit -f`).
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and limit < nbytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(folder))
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
