"""Run what was built, on this machine or on boards: in a process of its own, which may crash or hang without harm.

A visit is one pass over a group of cells. Its process loads all libraries of the group, and measures them in turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import tvm
from tvm.rpc import RPCSession

from lascompile.cpu import waited_for_cpu_s
from lascompile.measure.rounds import Rhythm, take_rounds
from lascompile.records import Failure
from lascompile.schedules.cpu.tile_permission import ask_for_tiles, needs_tiles
from lascompile.tune.fleet import Fleet
from lascompile.tune.runner import Execution, FleetRunner, LocalRunner, Outcome
from lascompile.tune.trial import Call, Job, allot, cold_timer, prepare, use_threads

TIMEOUT_S = 120
"""Seconds that a visit may take; one of a group as large as they come takes a tenth of that on a laptop."""

_RUNS_OF_CHECK = 3


@dataclass(frozen=True)
class Visit:
    """One pass over a group.

    Attributes:
        jobs: Its cells.
        libraries: The library of each of them.
        rhythm: Rounds and blocks.
        seed: Of the order.
    """

    jobs: tuple[Job, ...]
    libraries: tuple[Path, ...]
    rhythm: Rhythm
    seed: tuple[int, ...]


class Visitor:
    """Checks kernels and visits groups, on this machine, or on the boards of `fleet`.

    Args:
        fleet: The boards; None is this machine.
        timeout_s: Seconds that a visit or a check may take, here or on a board.
    """

    def __init__(self, fleet: Fleet | None = None, timeout_s: int = TIMEOUT_S) -> None:
        self._is_remote = fleet is not None
        self._runner: LocalRunner | FleetRunner
        if fleet is None:
            self._runner = LocalRunner(timeout_s, _RUNS_OF_CHECK)
        else:
            self._runner = FleetRunner(replace(fleet, timeout_s=timeout_s), _RUNS_OF_CHECK)
        self.width = 1 if fleet is None else fleet.jobs
        """Visits at a time."""

    def check(self, jobs: Sequence[tuple[Job, Path]]) -> Iterator[tuple[int, Outcome]]:
        """Yields the position of each of `jobs`, and a failure if its kernel does not compute what it should."""
        yield from self._runner.measure(jobs)

    def visit(self, visits: Sequence[Visit]) -> Iterator[tuple[int, list[list[float]] | Failure]]:
        """Yields the position of each of `visits`, and the seconds of all timed runs by cell, or a failure.

        Raises:
            UsageError: All boards have gone, or the tracker has.
        """
        works = [self._work(visit) for visit in visits]
        for position, found in self._runner.run(works):
            if isinstance(found, Failure):
                yield position, found
            else:
                # A runner has one list of seconds: cells lie in it one behind the other, equally long.
                length = len(found) // len(visits[position].jobs)
                yield position, [found[start : start + length] for start in range(0, len(found), length)]

    def close(self) -> None:
        """Ends the processes."""
        self._runner.close()

    def _work(self, visit: Visit) -> Execution:
        first = visit.libraries[0]
        if self._is_remote:
            return Execution(first, partial(_allocate_remotely, visit), partial(_visit_remotely, visit))
        return Execution(first, partial(_allocate, visit), partial(_visit, visit))


def _allocate(visit: Visit, device: tvm.runtime.Device, _args_info: object, _repeats: int) -> list[Call]:
    prepare()
    return [allot(job, job.rate, device) for job in visit.jobs]


def _allocate_remotely(
    visit: Visit, _session: RPCSession, device: tvm.runtime.Device, _args_info: object, _repeats: int
) -> list[Call]:
    return [allot(job, job.rate, device) for job in visit.jobs]


def _visit(
    visit: Visit, first: tvm.runtime.Module, device: tvm.runtime.Device, _config: object, calls: list[Call]
) -> list[float]:
    others = {path: tvm.runtime.load_module(str(path)) for path in visit.libraries[1:] if path != visit.libraries[0]}
    return _take_turns(visit, {visit.libraries[0]: first, **others}, device, calls, waited_for_cpu_s)


def _visit_remotely(
    visit: Visit,
    session: RPCSession,
    first: tvm.runtime.Module,
    device: tvm.runtime.Device,
    _config: object,
    calls: list[Call],
) -> list[float]:
    """Nobody tells here what threads of the board have waited for."""
    modules = {visit.libraries[0]: first}
    for path in visit.libraries:
        if path not in modules:
            session.upload(str(path), path.name)
            modules[path] = session.load_module(path.name)
    for job, path in zip(visit.jobs, visit.libraries, strict=True):
        if needs_tiles(job.row):
            ask_for_tiles(modules[path])
    return _take_turns(visit, modules, device, calls, lambda: 0.0)


def _take_turns(
    visit: Visit, modules: dict[Path, tvm.runtime.Module], device: tvm.runtime.Device, calls: list[Call], waited_s: Any
) -> list[float]:
    for module in modules.values():
        use_threads(module, visit.jobs[0].threads)
    timers = [
        _Timer(cold_timer(modules[path], device, visit.rhythm.block), call)
        for path, call in zip(visit.libraries, calls, strict=True)
    ]
    by_cell = take_rounds(timers, visit.rhythm.rounds, visit.seed, waited_s)
    return [seconds for runs in by_cell for seconds in runs]


@dataclass(frozen=True)
class _Timer:
    """Runs a block of one cell."""

    timer: Any
    call: Call

    def __call__(self) -> list[float]:
        return [float(seconds) for seconds in self.timer(*self.call.tensors).results]
