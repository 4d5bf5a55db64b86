"""Time a kernel while the machine is left alone: what disturbs a run makes it longer, never shorter."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

_UNDISTURBED = 0.02
"""Share of a block's time that threads may have waited for a CPU: switching to one that was asleep takes some."""

_CALM = 1.3
"""Half of the runs have to stay within so many times the shortest one."""

_ATTEMPTS = 8
_PAUSE_S = 0.005


def run_calm_block(
    block: Callable[[], Sequence[float]],
    waited_s: Callable[[], float],
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Sequence[float]:
    """The seconds of the first block that was left alone; if none of eight was, of the fastest.

    Args:
        block: Makes some runs, and returns the seconds of each.
        waited_s: Seconds for which the process's threads have waited for a CPU so far.
        clock: Says the time in seconds.
        sleep: Waits before a block is run again.
    """
    found = []
    for attempt in range(_ATTEMPTS):
        if attempt:
            sleep(_PAUSE_S)
        waited, begin = waited_s(), clock()
        seconds = block()
        share = (waited_s() - waited) / max(clock() - begin, 1e-9)
        if share <= _UNDISTURBED and median(seconds) <= _CALM * min(seconds):
            return seconds
        found.append(seconds)
    return min(found, key=median)
