"""Time several programs against each other in one process.

Runs are interleaved, so that a clock that drifts (heat, neighbours on a shared machine) hits all alike: in
every round each contestant runs a block, and in every round another one starts. Before a block the process
must be at rest, since the threads of most runtimes go on spinning for some milliseconds after a call and
would take the next contestant's cores; then an untimed call brings the contestant's own threads and weights
back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_SLICE_S = 0.01
_AT_REST_S = 0.0005
_LONGEST_WAIT_S = 1.0


@dataclass(frozen=True)
class Plan:
    """How often to run.

    Attributes:
        rounds: Blocks of each contestant.
        block: Timed runs of a block.
        warm_up: Untimed runs of each contestant before the first round.
    """

    rounds: int
    block: int
    warm_up: int


@dataclass(frozen=True)
class Latency:
    """A distribution of run times, in seconds.

    Attributes:
        runs: How many were timed.
        variation: Standard deviation over the mean.
    """

    runs: int
    min_s: float
    median_s: float
    p90_s: float
    p99_s: float
    mean_s: float
    variation: float

    @staticmethod
    def of(samples_s: Sequence[float]) -> Latency:
        """The statistics of `samples_s`."""
        samples = np.asarray(samples_s, dtype=np.float64)
        median, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)))
        mean = float(samples.mean())
        return Latency(len(samples), float(samples.min()), median, p90, p99, mean, float(samples.std()) / mean)


def race(
    contestants: Sequence[Callable[[], object]],
    plan: Plan,
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Run all contestants by turns.

    Args:
        contestants: What to time.
        plan: How often.
        progress: Is told the rounds that are done, and their number.
        clock: Says the time in seconds.

    Returns:
        Seconds [contestant, round, run].
    """
    times = np.empty((len(contestants), plan.rounds, plan.block))
    for contestant in contestants:
        for _ in range(plan.warm_up):
            contestant()
    for turn in range(plan.rounds):
        for step in range(len(contestants)):
            position = (turn + step) % len(contestants)
            times[position, turn] = _run_block(contestants[position], plan.block, clock)
        if progress is not None:
            progress(turn + 1, plan.rounds)
    return times


def _run_block(contestant: Callable[[], object], runs: int, clock: Callable[[], float]) -> list[float]:
    wait_for_rest()
    contestant()
    times = []
    for _ in range(runs):
        begin = clock()
        contestant()
        times.append(clock() - begin)
    return times


def wait_for_rest() -> None:
    """Sleep until no thread of this process computes any more."""
    deadline = time.perf_counter() + _LONGEST_WAIT_S
    while time.perf_counter() < deadline:
        used = time.process_time()
        time.sleep(_SLICE_S)
        if time.process_time() - used < _AT_REST_S:
            return
