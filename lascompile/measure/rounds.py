"""One pass over a group: its cells take turns, in every round in another order, each with a short block of timed runs.

A clock that drifts, or a neighbour on a shared machine, so hits all cells alike; and a block is so short that some of
them fit between what other programs do. A block in which the machine was not left alone is run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lascompile.tune.calm import run_calm_block


@dataclass(frozen=True)
class Rhythm:
    """How a pass goes.

    Attributes:
        rounds: How often each cell gets a turn.
        block: Timed runs of a turn, behind an untimed one.
    """

    rounds: int
    block: int

    @staticmethod
    def of(runs: int, block: int = 5) -> Rhythm:
        """At least so many timed runs a pass, in blocks of up to `block`."""
        rounds = -(-runs // block)
        return Rhythm(rounds, -(-runs // rounds))


def take_rounds(
    timers: Sequence[Callable[[], Sequence[float]]],
    rounds: int,
    seed: Sequence[int],
    waited_s: Callable[[], float],
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[list[float]]:
    """The seconds of all timed runs, by cell.

    Args:
        timers: Of each cell, what runs a block and returns the seconds of its runs.
        rounds: Blocks of each cell.
        seed: Of the order.
        waited_s: Seconds for which the process's threads have waited for a CPU so far.
        clock: Says the time in seconds.
        sleep: Waits before a block is run again.
    """
    rng = np.random.default_rng(seed)
    seconds: list[list[float]] = [[] for _ in timers]
    for _ in range(rounds):
        for position in rng.permutation(len(timers)):
            seconds[position] += run_calm_block(timers[position], waited_s, clock, sleep)
    return seconds
