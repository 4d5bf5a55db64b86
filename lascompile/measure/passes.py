"""What counts of several passes over a cell.

A disturbance may last for longer than a pass, and then no run of that pass tells. So a cell is visited until enough
passes agree with the fastest one, and only those count.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from lascompile.records import Latency

PASSES = 3
"""Passes that have to agree."""

MOST_PASSES = 7
"""Where they do not: on a machine that is never quiet, the fastest ones are taken as they are."""

_AGREE = 1.05

Passes = Sequence[Sequence[float]]
"""Seconds of the timed runs of each pass."""


def is_settled(passes: Passes) -> bool:
    """Whether no further pass is needed."""
    return len(_agreeing(passes)) >= PASSES or len(passes) >= MOST_PASSES


def latency_of(passes: Passes) -> Latency:
    """Over the runs of the passes that agree with the fastest one, of `PASSES` at least where there are so many."""
    chosen = sorted(passes, key=median)[: max(PASSES, len(_agreeing(passes)))]
    return Latency.of([seconds for runs in chosen for seconds in runs])


def _agreeing(passes: Passes) -> Passes:
    lowest = min((median(runs) for runs in passes), default=0.0)
    return [runs for runs in passes if median(runs) <= _AGREE * lowest]
