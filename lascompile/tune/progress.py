"""How far a tuning is: what each task has found, and what the network gains by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lascompile.records import Record
from lascompile.tune.tasks import Contest, TuningTask


@dataclass
class TaskProgress:
    """A task and its trials so far.

    Attributes:
        task: What is tuned.
        trials: How many, failed ones included.
        failures: The reasons of those that failed.
        best_s: The lowest latency, None before the first.
        untuned_s: That of the decisions that `build` takes where there are no records.
        history: (trial of the whole run, lowest latency) at each improvement.
        best_after: By trial of this task, the lowest latency then; None before the first.
        exhausted: True if there is nothing left to try.
    """

    task: TuningTask
    trials: int = 0
    failures: list[str] = field(default_factory=list)
    best_s: float | None = None
    untuned_s: float | None = None
    history: list[tuple[int, float]] = field(default_factory=list)
    best_after: list[float | None] = field(default_factory=list)
    exhausted: bool = False

    def add(self, record: Record, is_default: bool, number: int) -> None:
        """Count a trial, which is the `number`-th of the run."""
        self.trials += 1
        if record.failure is not None:
            self.failures.append(record.failure.reason)
        if record.latency is not None:
            latency = record.latency.median_s
            if is_default:
                self.untuned_s = latency
            if self.best_s is None or latency < self.best_s:
                self.best_s = latency
                self.history.append((number, latency))
        self.best_after.append(self.best_s)

    @property
    def failed(self) -> int:
        """How many trials failed."""
        return len(self.failures)

    @property
    def gflops_per_s(self) -> float | None:
        """Operations on active rows, in billions a second, of the best."""
        return None if self.best_s is None else self.task.workload.flops * self.task.rate / self.best_s / 1e9


@dataclass
class Progress:
    """A tuning.

    Attributes:
        tasks: All tasks.
        budget: Trials that are to be made in all, those on record included.
        elapsed_s: Since the start of this run.
        left_s: Until its end, as far as can be told.
        running: The task whose trials are being made.
        made: Trials of this run.
    """

    tasks: Sequence[TaskProgress]
    budget: int
    made: int = 0
    elapsed_s: float = 0.0
    left_s: float | None = None
    running: TaskProgress | None = None

    @property
    def trials(self) -> int:
        """Trials of all tasks so far."""
        return sum(task.trials for task in self.tasks)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(task.failed for task in self.tasks)

    def best(self) -> dict[Contest, float]:
        """The lowest latency of each contest, over the forms and algorithms that take part."""
        return _lowest((task.task.contest, task.best_s) for task in self.tasks)

    def untuned(self) -> dict[Contest, float]:
        """What each contest takes without records: in the form and by the algorithm that `build` would choose."""
        return _lowest((task.task.contest, task.untuned_s) for task in self.tasks if task.task.is_default)

    def shares(self) -> list[float]:
        """The share of the network's time, as far as it is known, that each task's contest takes at its best."""
        best, calls = self.best(), self._calls()
        costs = [task.task.calls * best.get(task.task.contest, 0.0) for task in self.tasks]
        total = sum(calls[contest] * latency for contest, latency in best.items())
        return [cost / total if total else 0.0 for cost in costs]

    @property
    def times_s(self) -> tuple[float, float]:
        """Seconds of an inference in all contests whose untuned time is known: untuned, and at their best."""
        best, untuned, calls = self.best(), self.untuned(), self._calls()
        before = sum(calls[contest] * latency for contest, latency in untuned.items())
        return before, sum(calls[contest] * best[contest] for contest in untuned)

    @property
    def gain(self) -> float | None:
        """Untuned time over tuned time; None before anything is known."""
        before, after = self.times_s
        return before / after if after else None

    def _calls(self) -> dict[Contest, int]:
        """How often a network computes what the contest is about: all of it can be done over rows."""
        calls: dict[Contest, int] = {}
        for task in self.tasks:
            calls[task.task.contest] = max(task.task.calls, calls.get(task.task.contest, 0))
        return calls


def _lowest(pairs: Iterable[tuple[Contest, float | None]]) -> dict[Contest, float]:
    lowest: dict[Contest, float] = {}
    for contest, latency in pairs:
        if latency is not None:
            lowest[contest] = min(latency, lowest.get(contest, latency))
    return lowest
