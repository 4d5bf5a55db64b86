"""Time short kernels side by side on a machine that is not idle.

As `timing.race`, but for calls of microseconds: blocks are so short that some of them fit between what other programs
do. Linux tells how long each thread has waited for a CPU; a block in which one of this process had to wait is run
again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lascompile.bench.timing import wait_for_rest
from lascompile.cpu import waited_for_cpu_s
from lascompile.tune.calm import Patience, find_calm_block

_LONG_BLOCK_S = 2e-3
"""A block that has taken so long has calls enough: a longer one would hardly be left alone."""

_PAUSE_S = 0.02


@dataclass(frozen=True)
class CalmRounds:
    """How often to run.

    Attributes:
        rounds: Blocks of each contestant.
        block: Timed calls of a block, behind an untimed one; fewer where they are long.
        attempts: How often a block is run again at most.
    """

    rounds: int
    block: int
    attempts: int = 20


@dataclass(frozen=True)
class Result:
    """What a contestant took.

    Attributes:
        medians_s: Of each round's block, in seconds.
        disturbed: Blocks of which every attempt was disturbed; the fastest one counts.
    """

    medians_s: np.ndarray
    disturbed: int


def take_turns(
    contestants: Sequence[Callable[[int], Sequence[Callable[[], object]]]],
    plan: CalmRounds,
    waited_s: Callable[[], float] | None = None,
) -> list[Result]:
    """Run all contestants by turns, in every round another one first.

    Args:
        contestants: Each says which calls make up a block of so many: the same one again and again, or others.
        plan: How often.
        waited_s: Seconds for which the process's threads have waited for a CPU so far; by default Linux is asked.
    """
    ask = waited_s or waited_for_cpu_s
    medians, disturbed = np.empty((len(contestants), plan.rounds)), [0] * len(contestants)
    for turn in range(plan.rounds):
        for step in range(len(contestants)):
            position = (turn + step) % len(contestants)
            medians[position, turn], is_disturbed = _run_block(contestants[position], plan, ask)
            disturbed[position] += is_disturbed
    return [Result(times, count) for times, count in zip(medians, disturbed, strict=True)]


def _run_block(
    contestant: Callable[[int], Sequence[Callable[[], object]]], plan: CalmRounds, waited_s: Callable[[], float]
) -> tuple[float, bool]:
    """Median time of a block's calls, and whether it was disturbed all the same."""
    calls: list[Callable[[], object]] = []

    def prepare() -> None:
        warm_up, *calls[:] = contestant(plan.block + 1)
        wait_for_rest()
        warm_up()

    def run() -> list[float]:
        times: list[float] = []
        for call in calls:
            if sum(times) > _LONG_BLOCK_S:
                break
            begin = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - begin) * 1e-9)
        return times

    # Calls may differ, as by weights that lie elsewhere: only that threads had to wait says that a block was disturbed.
    patience = Patience(plan.attempts, _PAUSE_S, limit_s=math.inf, spread=math.inf)
    found = find_calm_block(run, waited_s, patience, prepare)
    return float(np.median(found.seconds)), not found.is_calm
