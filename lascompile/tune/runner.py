"""Measure what was built, by MetaSchedule's runners: on this machine, one kernel at a time, or on a fleet of boards."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tvm.s_tir import meta_schedule as ms
from tvm.support.popen_pool import PopenPoolExecutor

from lascompile.errors import DeviceError
from lascompile.records import WRONG, Failure, Latency
from lascompile.schedules.cpu.tile_permission import ADVICE, REFUSED
from lascompile.tune.fleet import Fleet
from lascompile.tune.trial import (
    WRONG_RESULT,
    Job,
    allocate,
    allocate_remotely,
    evaluate,
    evaluate_remotely,
)

REPEATS = 30
"""Timed runs of a kernel. Those of a dynamic one are shared out over the rates at which it is timed, and means over the
rates are the samples: ten, with three rates. The median of the samples counts."""

_ATTEMPTS = 3
"""Boards that a trial is tried on before it has failed."""

_POLL_S = 0.02

_ERROR = re.compile(r"[\w.]*(Error|Exception|Result)\b")


@dataclass(frozen=True)
class Outcome:
    """What came of running a candidate: a latency or a failure."""

    latency: Latency | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Execution:
    """What a worker does: load a library, make arguments, run them.

    Attributes:
        library: The library that is loaded, and brought to a board.
        allocate: MetaSchedule's argument maker; on a board it is given the session first.
        evaluate: Takes library, device, configuration and arguments, and returns seconds; on a board the session first.
    """

    library: Path
    allocate: Callable[..., Any]
    evaluate: Callable[..., list[float]]


class Runner(Protocol):
    """Measures candidates."""

    def measure(self, jobs: Sequence[tuple[Job, Path]]) -> Iterator[tuple[int, Outcome]]:
        """Yields position and outcome of each of `jobs` as soon as it is known."""
        ...

    def close(self) -> None:
        """Ends what was started."""
        ...


class LocalRunner:
    """One candidate at a time, in a process of its own, which may crash or hang without harm."""

    def __init__(self, timeout_s: float = 30.0, repeats: int = REPEATS) -> None:
        self._timeout_s = timeout_s
        self._runner = ms.runner.LocalRunner(
            timeout_sec=timeout_s,
            evaluator_config=evaluator_config(repeats),
        )

    def measure(self, jobs: Sequence[tuple[Job, Path]]) -> Iterator[tuple[int, Outcome]]:
        """Yields position and outcome of each of `jobs`, in order."""
        works = [Execution(library, partial(allocate, job), evaluate) for job, library in jobs]
        for position, found in self.run(works):
            yield position, _outcome(found)

    def run(self, works: Sequence[Execution]) -> Iterator[tuple[int, list[float] | Failure]]:
        """Yields the position of each of `works`, and seconds or a failure, in order."""
        for position, work in enumerate(works):
            yield position, seconds_of(_start(self._runner, work).result(), self._timeout_s)

    def close(self) -> None:
        """Ends the process."""
        self._runner.pool.shutdown()


class FleetRunner:
    """Many boards at once, which a tracker hands out. What fails since a board has died is tried again elsewhere.

    Args:
        fleet: The tracker and its boards, and how long a trial may take.
        repeats: Timed runs of each kernel.
    """

    def __init__(self, fleet: Fleet, repeats: int = REPEATS) -> None:
        self._fleet = fleet
        # A board that is switched off answers nothing, and its connection stays open: the worker gives up first.
        self._timeout_s = 2.0 * fleet.timeout_s
        self._runner = ms.runner.RPCRunner(
            fleet.config(),
            evaluator_config(repeats),
            max_workers=fleet.jobs,
        )
        self._runner.pool.shutdown()
        self._runner.pool = PopenPoolExecutor(fleet.jobs, self._timeout_s)

    def measure(self, jobs: Sequence[tuple[Job, Path]]) -> Iterator[tuple[int, Outcome]]:
        """Yields position and outcome of each of `jobs`, in the order in which they end.

        Raises:
            UsageError: The tracker has gone, or all boards have: no fault of the kernels, so they have not failed.
            DeviceError: A board lacks what the target has. They have not failed either.
        """
        works = [Execution(library, partial(allocate_remotely, job), evaluate_remotely) for job, library in jobs]
        for position, found in self.run(works):
            yield position, _outcome(found)

    def run(self, works: Sequence[Execution]) -> Iterator[tuple[int, list[float] | Failure]]:
        """Yields the position of each of `works`, and seconds or a failure, in the order in which they end.

        Raises:
            UsageError, DeviceError: As for `measure`.
        """
        # No more are started than there are boards to use: nothing waits in the pool when the caller stops.
        waiting = deque(range(len(works)))
        running: dict[int, ms.runner.RunnerFuture] = {}
        attempts = dict.fromkeys(waiting, 0)
        while waiting or running:
            while waiting and len(running) < self._fleet.jobs:
                position = waiting.popleft()
                attempts[position] += 1
                running[position] = _start(self._runner, works[position])
            ended = [position for position, future in running.items() if future.done()]
            for position in ended:
                found = seconds_of(running.pop(position).result(), self._timeout_s)
                _check_board(found)
                if _may_be_boards_fault(found) and attempts[position] < _ATTEMPTS:
                    self._fleet.check()
                    waiting.append(position)
                else:
                    yield position, found
            if not ended:
                time.sleep(_POLL_S)

    def close(self) -> None:
        """Ends the processes."""
        self._runner.pool.shutdown()


def _start(runner: ms.runner.LocalRunner | ms.runner.RPCRunner, work: Execution) -> ms.runner.RunnerFuture:
    runner.f_alloc_argument, runner.f_run_evaluator = work.allocate, work.evaluate
    [future] = runner.run([ms.runner.RunnerInput(str(work.library), "cpu", [])])
    return future


def evaluator_config(repeats: int) -> ms.runner.EvaluatorConfig:
    """One run at a time, with cold caches: see `evaluate`."""
    return ms.runner.EvaluatorConfig(number=1, repeat=repeats, min_repeat_ms=0, enable_cpu_cache_flush=True)


def seconds_of(result: ms.runner.RunnerResult, timeout_s: float) -> list[float] | Failure:
    """A runner's result in our terms."""
    if result.error_msg is None:
        return [float(seconds) for seconds in result.run_secs]
    message = str(result.error_msg)
    if "Timeout, killed" in message:
        return Failure("timeout", f"no end within {timeout_s:g} s")
    if WRONG_RESULT in message:
        return Failure(WRONG, message.rpartition(WRONG_RESULT)[2].strip())
    if "Subprocess terminated" in message:
        return Failure("run", "the kernel crashed")
    return Failure("run", _error_of_traceback(message))


def _outcome(found: list[float] | Failure) -> Outcome:
    return Outcome(failure=found) if isinstance(found, Failure) else Outcome(Latency.of(found))


def _error_of_traceback(message: str) -> str:
    """What stands behind the stack, in one line."""
    lines = message.strip().splitlines()
    first = max((number for number, line in enumerate(lines) if _ERROR.match(line)), default=len(lines) - 1)
    return " ".join(" ".join(lines[first:]).split())


def _check_board(found: list[float] | Failure) -> None:
    """Check that the board is what it was taken for; tuning would go on and on with failures.

    Raises:
        DeviceError: It is not.
    """
    if isinstance(found, Failure) and REFUSED in found.error:
        raise DeviceError(f"{REFUSED}: {ADVICE}")


def _may_be_boards_fault(found: list[float] | Failure) -> bool:
    """Whether another board might do better: a wrong result is the kernel's fault; all else may be the board's."""
    return isinstance(found, Failure) and found.reason != WRONG
