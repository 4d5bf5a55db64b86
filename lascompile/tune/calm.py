"""Time something while the machine is left alone: what disturbs a run makes it longer, never shorter."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

_UNDISTURBED = 0.02
"""Share of a block's time that threads may have waited for a CPU: switching to one that was asleep takes some."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a block of runs that is left alone.

    Attributes:
        attempts: Blocks that are run at most.
        pause_s: Between two of them.
        limit_s: Seconds after which no further one begins.
        spread: Half of a block's runs have to stay within so many times the shortest one.
    """

    attempts: int = 8
    pause_s: float = 0.005
    limit_s: float = 2.0
    spread: float = 1.3


@dataclass(frozen=True)
class TimedBlock:
    """The runs that count.

    Attributes:
        seconds: Of each run.
        is_calm: False if no block was left alone, and this is the fastest.
    """

    seconds: Sequence[float]
    is_calm: bool


def run_calm_block(
    block: Callable[[], Sequence[float]],
    waited_s: Callable[[], float],
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Sequence[float]:
    """The seconds of `find_calm_block`, with the patience that trials have."""
    return find_calm_block(block, waited_s, Patience(), clock=clock, sleep=sleep).seconds


def find_calm_block(
    block: Callable[[], Sequence[float]],
    waited_s: Callable[[], float],
    patience: Patience,
    prepare: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> TimedBlock:
    """The first block that was left alone; if none was while there is patience, the fastest.

    Args:
        block: Makes some runs, and returns the seconds of each.
        waited_s: Seconds for which the process's threads have waited for a CPU so far.
        patience: When to give up. There is always one block.
        prepare: Called before each block; what threads wait meanwhile disturbs nothing.
        clock: Says the time in seconds.
        sleep: Waits before a block is run again.
    """
    start: float | None = None
    found = []
    for attempt in range(patience.attempts):
        if attempt:
            sleep(patience.pause_s)
        prepare()
        waited, begin = waited_s(), clock()
        seconds = block()
        end = clock()
        share = (waited_s() - waited) / max(end - begin, 1e-9)
        if share <= _UNDISTURBED and median(seconds) <= patience.spread * min(seconds):
            return TimedBlock(seconds, True)
        found.append(seconds)
        start = begin if start is None else start
        if end - start >= patience.limit_s:
            break
    return TimedBlock(min(found, key=median), False)
