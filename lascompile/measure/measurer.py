"""The loop: build a group of cells, check what it computes, visit it until its passes agree, write its rows."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lascompile.latency import Row
from lascompile.measure.cells import Measurable
from lascompile.measure.passes import PASSES, is_settled, latency_of
from lascompile.measure.progress import MeasuringProgress
from lascompile.measure.rounds import Rhythm
from lascompile.measure.visitor import Visit
from lascompile.records import Failure, Versions
from lascompile.sites.activity import active_count
from lascompile.tune.runner import Outcome
from lascompile.tune.trial import Job
from lascompile.tune.tuner import KernelBuilder

_LOG = logging.getLogger("lascompile.measure")

REPEATS = 90
"""Timed runs of a cell, in all passes that count."""

SECONDS_PER_CELL = 1.0
"""What a cell takes, before one was measured."""


class Table(Protocol):
    """Where rows go; see `lascompile.latency.LatencyTable`."""

    def append(self, *rows: Row) -> None:
        """Write them; they are safe when this returns."""
        ...


class Runs(Protocol):
    """What runs kernels; see `lascompile.measure.visitor.Visitor`."""

    width: int

    def check(self, jobs: Sequence[tuple[Job, Path]]) -> Iterator[tuple[int, Outcome]]:
        """Yields the position of each of `jobs`, and a failure if its kernel does not compute what it should."""
        ...

    def visit(self, visits: Sequence[Visit]) -> Iterator[tuple[int, list[list[float]] | Failure]]:
        """Yields the position of each of `visits`, and the seconds of all timed runs by cell, or a failure."""
        ...


@dataclass
class _Visited:
    """A cell that is being measured.

    Attributes:
        item: The cell.
        passes: Seconds of the timed runs of each pass so far.
        is_alone: Whether it is visited by itself, since a visit with others has failed.
        failure: Of the visit by itself behind which there is no other one.
    """

    item: Measurable
    passes: list[list[float]] = field(default_factory=list)
    is_alone: bool = False
    failure: Failure | None = None

    @property
    def has_failed(self) -> bool:
        """True if its good passes are too few for a row."""
        return self.failure is not None and len(self.passes) < PASSES

    @property
    def is_over(self) -> bool:
        """Whether no further pass is needed."""
        return self.failure is not None or is_settled(self.passes)


class Measurer:
    """Measures groups of cells.

    Args:
        groups: What to measure.
        table: Where the rows go, those of a group as soon as it is finished.
        repeats: Timed runs of a cell, at least.
        time_limit_s: Seconds after which no further group begins; None is no limit.
        on_record: Cells that need not be measured, to be told of.
        seed: Of the order.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Measurable]],
        table: Table,
        repeats: int = REPEATS,
        time_limit_s: float | None = None,
        on_record: int = 0,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._groups, self._table, self._seed, self._clock = groups, table, seed, clock
        self._rhythm = Rhythm.of(-(-repeats // PASSES))
        self._limit_s = time_limit_s
        self._libraries: dict[object, Path] = {}
        self._on_progress: Callable[[MeasuringProgress], None] = lambda progress: None
        self._started = clock()
        self._is_stopped: Callable[[], bool] = lambda: False
        self.progress = MeasuringProgress(sum(map(len, groups)), on_record, groups=len(groups))

    def run(
        self,
        builder: KernelBuilder,
        runs: Runs,
        on_progress: Callable[[MeasuringProgress], None] = lambda progress: None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> MeasuringProgress:
        """Measure until all groups are finished, the time is up, or the user has stopped it.

        Args:
            builder: Builds the libraries.
            runs: Runs them.
            on_progress: Told whenever something has changed.
            is_stopped: Asked before each visit; the groups that are being measured are then given up.
        """
        self._started, self._on_progress, self._is_stopped = self._clock(), on_progress, is_stopped
        for start in range(0, len(self._groups), runs.width):
            if is_stopped() or (self._limit_s is not None and self._clock() - self._started >= self._limit_s):
                break
            self._measure(self._groups[start : start + runs.width], builder, runs)
        self._announce("")
        return self.progress

    def _measure(self, groups: Sequence[Sequence[Measurable]], builder: KernelBuilder, runs: Runs) -> None:
        """Some groups side by side, as many as there are boards."""
        self._build([item for group in groups for item in group], builder, runs)
        sound = [[_Visited(item) for item in group if item.library in self._libraries] for group in groups]
        number = 0
        while due := [unit for group in sound for unit in _units(group)]:
            if self._is_stopped():
                return
            number += 1
            count = sum(map(len, due))
            cells = f"{count} cell{'s' * (count != 1)} of {_name([cell.item for cell in due[0]])}"
            self._announce(f"pass {number} over {cells}")
            self._visit(due, runs, number)
        done = [cell for group in sound for cell in group if not cell.has_failed]
        rows = [_row(cell) for cell in done]
        if rows:
            self._table.append(*rows)
        self.progress.rows += rows
        self.progress.finished += len(groups)

    def _build(self, items: Sequence[Measurable], builder: KernelBuilder, runs: Runs) -> None:
        """Build and check the libraries of `items`; those that fail, fail for all of their cells."""
        self._libraries = {}
        jobs: dict[object, Job] = {}
        for item in items:
            jobs.setdefault(item.library, item.job)
        self._announce(f"building {len(jobs)} librar{'y' if len(jobs) == 1 else 'ies'} for {_name(items)}")
        failures: dict[object, Failure] = {}
        ready: list[tuple[object, Job, Path]] = []
        for key, built in zip(jobs, builder.build(list(jobs.values())), strict=True):
            if built.library is None:
                failures[key] = built.failure or Failure("build")
            else:
                ready.append((key, built.job, built.library))
        self._announce(f"checking {_name(items)}")
        for position, outcome in runs.check([(job, library) for _, job, library in ready]):
            key, _, library = ready[position]
            if outcome.failure is None:
                self._libraries[key] = library
            else:
                failures[key] = outcome.failure
        for item in items:
            if item.library in failures:
                self._fail(item, failures[item.library])

    def _visit(self, units: Sequence[Sequence[_Visited]], runs: Runs, number: int) -> None:
        """One pass over `units`, each of which is visited in one process."""
        waiting = deque(units)
        while waiting and not self._is_stopped():
            together = [waiting.popleft() for _ in range(min(runs.width, len(waiting)))]
            for position, found in runs.visit([self._visit_of(unit, number) for unit in together]):
                unit = together[position]
                if not isinstance(found, Failure):
                    for cell, seconds in zip(unit, found, strict=True):
                        cell.passes.append(seconds)
                elif len(unit) == 1:
                    self._give_up(unit[0], found)
                else:
                    # One of them is to blame, and nobody knows which: from now on each goes alone.
                    for cell in unit:
                        cell.is_alone = True
                        waiting.append([cell])

    def _give_up(self, cell: _Visited, failure: Failure) -> None:
        cell.failure = failure
        if cell.has_failed:
            self._fail(cell.item, failure)
        else:
            _LOG.info("%s: pass left out (%s): %s", cell.item.kernel.name, failure.reason, failure.error)

    def _visit_of(self, unit: Sequence[_Visited], number: int) -> Visit:
        libraries = tuple(self._libraries[cell.item.library] for cell in unit)
        return Visit(tuple(cell.item.job for cell in unit), libraries, self._rhythm, (self._seed, number))

    def _fail(self, item: Measurable, failure: Failure) -> None:
        self.progress.failed.append((item, failure))
        _LOG.info("%s: not measured (%s): %s", item.kernel.name, failure.reason, failure.error)

    def _announce(self, doing: str) -> None:
        progress = self.progress
        progress.doing, progress.elapsed_s = doing, self._clock() - self._started
        pace = progress.elapsed_s / progress.done if progress.rows else SECONDS_PER_CELL
        progress.left_s = pace * (progress.cells - progress.done)
        if self._limit_s is not None:
            progress.left_s = min(progress.left_s, max(0.0, self._limit_s - progress.elapsed_s))
        self._on_progress(progress)


def _row(cell: _Visited) -> Row:
    job = cell.item.job
    count = active_count(job.activity, job.rate, job.seed)
    return Row(cell.item.cell, latency_of(cell.passes), Versions.installed(), count=count)


def _units(group: Sequence[_Visited]) -> list[list[_Visited]]:
    """What of `group` is visited in one process each: those that go alone, and the rest, as far as not yet over."""
    due = [cell for cell in group if not cell.is_over]
    together = [cell for cell in due if not cell.is_alone]
    return [*([together] if together else []), *([cell] for cell in due if cell.is_alone)]


def _name(items: Sequence[Measurable]) -> str:
    """The first kernel's, without its algorithm, and how many more."""
    tasks = (item.kernel.task for item in items)
    names = list(dict.fromkeys(task.name.removesuffix(f" {task.algorithm.name}") for task in tasks))
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
