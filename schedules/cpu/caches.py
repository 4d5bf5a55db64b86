"""What kernels may take of a core's second-level cache: shares of that of the device that they were found on.

Default decisions and the borders of spaces are made of them, on every CPU alike, so that a target has the same ones
wherever it is built for; what suits another cache better, tuning finds.
"""

from __future__ import annotations

from lascompile.machine import DEVICES

_FOUND_ON = DEVICES["emerald-rapids"]


def of_second_level(share: float) -> int:
    """So many bytes of it; a share above 1 is what also lies in the cache behind."""
    return int(share * _FOUND_ON.engine_memory_bytes)
