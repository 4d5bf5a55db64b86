"""What was measured of a convolution: the decisions that serve it best, and how long a kernel takes.

Everything is looked up once, so that one build does not change its mind while another process tunes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lascompile.cpu import cpu_model
from lascompile.errors import UsageError
from lascompile.latency import Estimate, LatencyTable, open_table
from lascompile.plan.cost import RECORD, TABLE, Cost
from lascompile.plan.known import known_algorithms
from lascompile.records import Match, RecordStore, TargetKey, Task, open_store
from lascompile.records.fields import to_fields
from lascompile.records.matching import is_dynamic
from lascompile.schedules.algorithm import Algorithm
from lascompile.target import Target
from lascompile.workload import NOMINAL_RATE, Workload


@dataclass(frozen=True)
class Scale:
    """What has to be equal for two latencies of one convolution to be compared.

    Attributes:
        source: How they were measured: `RECORD` or `TABLE`.
        device: Where.
        activation_rate: Under which load; 1.0 for a kernel that is not dynamic.
        granularity: S of the mask: how the rows of that load lie together. None without one, and for a record, which
            does not tell.
    """

    source: str
    device: str
    activation_rate: float
    granularity: tuple[int, int] | None = None


@dataclass(frozen=True)
class Measured:
    """A measured cost; `row` is what a manifest tells of the latency table's row, if it comes from there."""

    cost: Cost
    scale: Scale
    row: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Found:
    """What is known of an algorithm for a workload.

    Attributes:
        decisions: Those to build it by.
        record: Provenance of the record that they come from; None if they are the default ones.
        latencies: How long a kernel with these decisions takes, as far as that was measured: of each granularity, or
            what the record says.
    """

    decisions: Any
    record: Mapping[str, Any] | None = None
    latencies: tuple[Measured, ...] = ()


class Measurements:
    """Records and latency table, as far as they are about kernels for `target` on `threads` threads.

    Args:
        store: The records.
        table: The latency table.
        target: What is built for.
        threads: On how many threads it will run.
        device: Whose measurements come first.
    """

    def __init__(self, store: RecordStore, table: LatencyTable, target: Target, threads: int, device: str) -> None:
        self._store, self._table = store, table
        self._target, self._threads, self._device = TargetKey.of(target), threads, device
        self._found: dict[tuple[str, Workload], Found] = {}

    def look_up(self, algorithm: Algorithm, workload: Workload, default: object) -> Found:
        """What is known of `algorithm` for `workload`, of which it has the decisions `default` without a record."""
        key = algorithm.name, workload
        if key not in self._found:
            match = self._match(algorithm, workload)
            decisions = match.decisions if match else default
            latencies = self._in_table(algorithm, workload, decisions) or ((_of_record(match),) if match else ())
            self._found[key] = Found(decisions, match.provenance() if match else None, latencies)
        return self._found[key]

    def _match(self, algorithm: Algorithm, workload: Workload) -> Match | None:
        if (algorithm.name, workload) not in self._recorded:  # and no fingerprint is needed, which takes a while
            return None
        return self._store.best(self._task(workload), known_algorithms(workload, self._target.kind, [algorithm.name]))

    def _in_table(self, algorithm: Algorithm, workload: Workload, decisions: object) -> tuple[Measured, ...]:
        """Latencies with these very decisions, at the nominal rate, of each granularity."""
        if (algorithm.name, workload) not in self._tabulated:
            return ()
        task = self._task(workload)
        definition = known_algorithms(workload, self._target.kind, [algorithm.name])[algorithm.name].definition
        estimates = self._table.latency_by_granularity(
            task, algorithm.name, definition, decisions=to_fields(decisions)
        )
        return tuple(_of_rows(estimate, task.activation_rate) for estimate in estimates.values())

    def _task(self, workload: Workload) -> Task:
        rate = NOMINAL_RATE if is_dynamic(workload) else 1.0
        return Task(workload, self._target, self._threads, self._device, rate)

    @cached_property
    def _recorded(self) -> set[tuple[str, Workload]]:
        records = (item.value for item in self._store.records())
        return {(record.algorithm, record.task.workload) for record in records if self._is_here(record.task)}

    @cached_property
    def _tabulated(self) -> set[tuple[str, Workload]]:
        cells = (item.value.cell for item in self._table.rows())
        return {(cell.algorithm, cell.task.workload) for cell in cells if self._is_here(cell.task)}

    def _is_here(self, task: Task) -> bool:
        return task.threads == self._threads and task.target == self._target


def open_measurements(folder: Path | None, target: Target, threads: int) -> Measurements:
    """What the user has measured (in `folder`, if given), and behind it what lascompile comes with.

    Raises:
        UsageError: There is no folder `folder`.
    """
    if folder is not None and not folder.exists():
        raise UsageError(f"--records {folder}: no such folder")
    return Measurements(open_store(folder), open_table(folder), target, threads, cpu_model())


def _of_rows(estimate: Estimate, rate: float) -> Measured:
    last = max(estimate.rows, key=lambda row: row.when)
    device, granularity = last.cell.task.device, last.cell.granularity
    told: dict[str, Any] = {"device": device, "when": last.when, "versions": vars(last.versions).copy()}
    if granularity is not None:
        told["granularity"] = list(granularity)
    cost = Cost(estimate.median_s, estimate.p10_s, estimate.p90_s, TABLE)
    return Measured(cost, Scale(TABLE, device, rate, granularity), told)


def _of_record(match: Match) -> Measured:
    record = match.record
    assert record.latency is not None
    rate = record.task.activation_rate if is_dynamic(record.task.workload) else 1.0
    cost = Cost(record.latency.median_s, record.latency.p10_s, record.latency.p90_s, RECORD)
    return Measured(cost, Scale(RECORD, record.task.device, rate))
