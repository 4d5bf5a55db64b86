"""Time several programs against each other in one process.

Runs are interleaved, so that a clock that drifts (heat, neighbours on a shared machine) hits all alike: in
every round each contestant runs a block, and in every round another one starts. Before a block the process
must be at rest, since the threads of most runtimes go on spinning for some milliseconds after a call and
would take the next contestant's cores; then an untimed call brings the contestant's own threads and weights
back. A contestant with several clients has a thread for each of them, and all call at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier, BrokenBarrierError
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_SLICE_S = 0.01
_AT_REST_S = 0.0005
_LONGEST_WAIT_S = 1.0


Clients = Sequence[Callable[[], object]]
"""What each client of a contestant calls; one where calls come one after the other."""


@dataclass(frozen=True)
class Rounds:
    """How often to run.

    Attributes:
        rounds: Blocks of each contestant.
        block: Timed calls of each client in a block.
        warm_up: Untimed calls of each contestant before the first round.
        block_s: Seconds that a block takes instead; how many calls that is, an untimed block tells.
    """

    rounds: int
    block: int
    warm_up: int
    block_s: float | None = None


@dataclass(frozen=True)
class Times:
    """What a contestant took.

    Attributes:
        calls_s: Seconds of each call [round, call].
        rates_per_s: Calls in a second, of all clients, by round.
    """

    calls_s: np.ndarray
    rates_per_s: np.ndarray


@dataclass(frozen=True)
class RunTimes:
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
    def of(samples_s: ArrayLike) -> RunTimes:
        """The statistics of `samples_s`."""
        samples = np.asarray(samples_s, dtype=np.float64)
        median, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)))
        mean = float(samples.mean())
        return RunTimes(len(samples), float(samples.min()), median, p90, p99, mean, float(samples.std()) / mean)


def race(
    contestants: Sequence[Clients],
    plan: Rounds,
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Times]:
    """Run all contestants by turns.

    Args:
        contestants: What to time.
        plan: How often.
        progress: Is told the rounds that are done, and their number.
        clock: Says the time in seconds.

    Returns:
        The times of each contestant.
    """
    for clients in contestants:
        for _ in range(plan.warm_up):
            clients[0]()
    plans = [_fitted(plan, clients, clock) for clients in contestants]
    blocks: list[list[_Block]] = [[] for _ in contestants]
    for turn in range(plan.rounds):
        for step in range(len(contestants)):
            position = (turn + step) % len(contestants)
            blocks[position].append(_run_block(contestants[position], plans[position].block, clock))
        if progress is not None:
            progress(turn + 1, plan.rounds)
    return [_times(found) for found in blocks]


_Block = tuple[list[float], float]
"""Seconds of the calls, and from the first one's begin to the last one's end."""


def _times(blocks: Sequence[_Block]) -> Times:
    calls = np.array([seconds for seconds, _ in blocks])
    return Times(calls, np.array([len(seconds) / elapsed for seconds, elapsed in blocks]))


def _fitted(plan: Rounds, clients: Clients, clock: Callable[[], float]) -> Rounds:
    """The plan with as many calls in a block as take `block_s`."""
    if plan.block_s is None:
        return plan
    seconds, elapsed = _run_block(clients, 1, clock)
    return replace(plan, block=max(1, round(plan.block_s / elapsed)))


def _run_block(clients: Clients, calls: int, clock: Callable[[], float]) -> _Block:
    wait_for_rest()
    if len(clients) == 1:
        clients[0]()
        seconds = _time_calls(clients[0], calls, clock)
        return seconds, sum(seconds)
    start = Barrier(len(clients))

    def run(call: Callable[[], object]) -> tuple[float, list[float], float]:
        try:
            call()
            start.wait()
        except BaseException:
            start.abort()
            raise
        return clock(), _time_calls(call, calls, clock), clock()

    with ThreadPoolExecutor(len(clients)) as threads:
        running = [threads.submit(run, call) for call in clients]
        _raise_first(running)
        found = [future.result() for future in running]
    began, ended = min(begin for begin, _, _ in found), max(end for _, _, end in found)
    return [second for _, seconds, _ in found for second in seconds], ended - began


def _raise_first(running: Sequence[Future[Any]]) -> None:
    """What a client has raised, rather than that others waited for it in vain."""
    errors = [error for error in (future.exception() for future in running) if error is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
        raise error


def _time_calls(call: Callable[[], object], calls: int, clock: Callable[[], float]) -> list[float]:
    times = []
    for _ in range(calls):
        begin = clock()
        call()
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
