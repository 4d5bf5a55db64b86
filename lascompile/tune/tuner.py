"""The loop: choose a task, ask its search for candidates, build them, measure them, keep each trial on record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from lascompile.plan.known import known_algorithms
from lascompile.records import Failure, Record, Versions
from lascompile.records import Task as RecordTask
from lascompile.records.fields import from_fields
from lascompile.records.matching import Known
from lascompile.tune.allocation import ROUND, choose_task
from lascompile.tune.builder import Built
from lascompile.tune.progress import Progress, TaskProgress
from lascompile.tune.runner import Outcome, Runner
from lascompile.tune.search import CostModel, Search, Tried
from lascompile.tune.tasks import TuningTask
from lascompile.tune.trial import Job

_LOG = logging.getLogger("lascompile.tune")

SECONDS_PER_TRIAL = 1.5
"""What a trial takes, before one was made."""


class Store(Protocol):
    """Where trials are kept; see `lascompile.records.RecordStore`."""

    def append(self, *records: Record) -> None:
        """Write them; they are safe when this returns."""
        ...

    def trials(self, task: RecordTask, known: dict[str, Known]) -> Sequence[Record]:
        """The trials of a task."""
        ...


class KernelBuilder(Protocol):
    """Builds candidates; see `lascompile.tune.builder.Builder`."""

    def build(self, jobs: Sequence[Job]) -> Sequence[Built]:
        """The libraries of `jobs`, in order."""
        ...


@dataclass(frozen=True)
class Budget:
    """When to stop.

    Attributes:
        trials: How many, those on record included.
        time_limit_s: Seconds after which no further trial begins; None is no limit.
    """

    trials: int
    time_limit_s: float | None = None


class Tuner:
    """Tunes a network's tasks.

    Args:
        tasks: What to tune.
        store: Where the trials are, and where they go.
        budget: When to stop.
        seed: Of all chance.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        tasks: Sequence[TuningTask],
        store: Store,
        budget: Budget,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._budget, self._seed, self._clock = store, budget, seed, clock
        self._searches: dict[int, Search] = {}
        self._models: dict[str, CostModel] = {}
        self._records: dict[int, list[Record]] = {}
        self._started = clock()
        self._is_stopped: Callable[[], bool] = lambda: False
        self.progress = Progress([TaskProgress(task) for task in tasks], budget.trials)
        for task in self.progress.tasks:
            self._read_records(task)

    def run(
        self,
        builder: KernelBuilder,
        runner: Runner,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        round_size: int = ROUND,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """Make trials until the budget is spent, nothing is left to try, or the user has stopped it.

        Args:
            builder: Builds the candidates.
            runner: Measures them.
            on_progress: Told after each trial, and before each round.
            round_size: Candidates that are built together.
            is_stopped: Asked before each trial.
        """
        self._started, self._is_stopped = self._clock(), is_stopped
        while (count := min(round_size, self._budget.trials - self.progress.trials)) > 0 and self._goes_on():
            task = choose_task(self.progress)
            if task is None:
                break
            # A first round of one: where nothing is known of a task, its default says what it is worth.
            proposed = self._search(task).propose(count if task.trials else 1)
            if not proposed:
                task.exhausted = True
                continue
            self._announce(on_progress, task)
            self._round(task, proposed, builder, runner, on_progress)
        self._announce(on_progress, None)
        return self.progress

    def _round(
        self,
        task: TaskProgress,
        proposed: Sequence[Any],
        builder: KernelBuilder,
        runner: Runner,
        on_progress: Callable[[Progress], None],
    ) -> None:
        measured = []
        for decisions, outcome in self._outcomes(task, proposed, builder, runner):
            record = self._record(task, decisions, outcome)
            self._store.append(record)
            self.progress.made += 1
            task.add(record, decisions == self._search(task).space.default, self.progress.trials + 1)
            measured.append(Tried(decisions, record.latency.median_s if record.latency else None))
            if record.failure:
                _LOG.info("%s: a trial failed (%s): %s", task.task.name, record.failure.reason, record.failure.error)
            self._announce(on_progress, task)
            if not self._goes_on():
                break
        self._search(task).learn(measured)

    def _outcomes(
        self, task: TaskProgress, proposed: Sequence[Any], builder: KernelBuilder, runner: Runner
    ) -> Iterator[tuple[Any, Outcome]]:
        """Decisions and what came of them: first those that could not be built."""
        built = builder.build([job_of(task.task, decisions, self._seed) for decisions in proposed])
        ready = []
        for decisions, candidate in zip(proposed, built, strict=True):
            if candidate.library is None:
                yield decisions, Outcome(failure=candidate.failure or Failure("build"))
            else:
                ready.append((decisions, candidate.job, candidate.library))
        # Building takes long enough for the time to be over.
        if not ready or not self._goes_on():
            return
        outcomes = runner.measure([(job, library) for _, job, library in ready])
        for position, outcome in outcomes:
            yield ready[position][0], outcome

    def _record(self, task: TaskProgress, decisions: Any, outcome: Outcome) -> Record:
        algorithm = task.task.algorithm
        return Record(
            task=task.task.record_task,
            algorithm=algorithm.name,
            definition=_known(task.task)[algorithm.name].definition,
            decisions=asdict(decisions),
            versions=Versions.installed(),
            latency=outcome.latency,
            failure=outcome.failure,
            seed=self._seed,
            trial=task.trials,
        )

    def _read_records(self, task: TaskProgress) -> None:
        records = list(self._store.trials(task.task.record_task, _known(task.task)))
        default = _space(task.task).default
        for record in records:
            task.add(record, _decisions(task.task, record) == default, self.progress.trials + 1)
        self._records[id(task)] = records

    def _search(self, task: TaskProgress) -> Search:
        """Made when it is first needed: many tasks may never get a turn."""
        if id(task) not in self._searches:
            model = self._models.setdefault(task.task.algorithm.name, CostModel(self._seed))
            known = [
                Tried(_decisions(task.task, record), record.latency.median_s if record.latency else None)
                for record in self._records.pop(id(task))
            ]
            self._searches[id(task)] = Search(task.task, model, known, self._seed)
        return self._searches[id(task)]

    def _announce(self, on_progress: Callable[[Progress], None], task: TaskProgress | None) -> None:
        progress, elapsed = self.progress, self._clock() - self._started
        progress.elapsed_s, progress.running = elapsed, task
        pace = elapsed / progress.made if progress.made else SECONDS_PER_TRIAL
        progress.left_s = pace * max(0, self._budget.trials - progress.trials)
        if self._budget.time_limit_s is not None:
            progress.left_s = min(progress.left_s, max(0.0, self._budget.time_limit_s - elapsed))
        on_progress(progress)

    def _goes_on(self) -> bool:
        limit = self._budget.time_limit_s
        return not self._is_stopped() and (limit is None or self._clock() - self._started < limit)


def job_of(task: TuningTask, decisions: Any, seed: int = 0) -> Job:
    """What builder and runner have to know."""
    return Job(
        task.workload,
        task.setting.target.kind,
        task.algorithm.name,
        decisions,
        task.activity,
        task.rate,
        task.setting.threads,
        seed,
    )


def _known(task: TuningTask) -> dict[str, Known]:
    return known_algorithms(task.workload, task.setting.target.kind, [task.algorithm.name])


def _decisions(task: TuningTask, record: Record) -> Any:
    """Those of a trial on record, where a tuple is a list."""
    return from_fields(task.algorithm.decisions, dict(record.decisions), "decisions")


def _space(task: TuningTask) -> Any:
    return task.algorithm.space(task.workload, task.setting.target, task.setting.threads)
