"""The latency table: how long a kernel takes on a device, over shape, granularity, activation rate and algorithm.

Its rows lie beside the records of tuning, in journals of the same kind, so that what is said there of kills, damage
and merging holds here. docs/records.md has the format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lascompile.journal import Collection, Item, to_payload
from lascompile.records import Latency, Task, Versions, shipped_folder, timestamp, user_folder
from lascompile.records.fields import from_stored, to_fields
from lascompile.records.folders import check_folder
from lascompile.records.matching import is_dynamic
from lascompile.records.measured import installed_tvm

SCHEMA = 1
FILE_NAME = "latency.jsonl"
_SAME_RATE = 1e-6


@dataclass(frozen=True)
class Cell:
    """A place in the table: what is measured.

    Attributes:
        task: Workload, target, threads, device, activation rate, batch.
        algorithm: The algorithm's name.
        definition: Fingerprint of the kernel's definition; see `lascompile.plan.known`.
        decisions: The fields of the schedule's decisions.
        granularity: S, height and width of a patch of the mask that the kernel obeys; None without a mask.
        stage: C, H, W of the stage's output, by which rows are shown; None where there is no stage.
    """

    task: Task
    algorithm: str
    definition: str
    decisions: Mapping[str, Any]
    granularity: tuple[int, int] | None = None
    stage: tuple[int, int, int] | None = None

    @property
    def identity(self) -> str:
        """Names this cell and no other."""
        return hashlib.sha256(to_payload(to_fields(self))).hexdigest()[:16]


@dataclass(frozen=True)
class Row:
    """A measured cell.

    Attributes:
        count: Active rows or tiles of the masks that it was measured under; None of a kernel without a count, and of
            rows that were measured before this was stored.
        when: UTC, see `lascompile.records.timestamp`.
    """

    cell: Cell
    latency: Latency
    versions: Versions
    when: str = field(default_factory=timestamp)
    count: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {"schema": SCHEMA, **to_fields(self)}

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Row:
        """The row that `to_json` stored; fields that it does not know are left out, except in the workload.

        Raises:
            ValueError: It is of a newer schema, of a kind of workload that this version does not know, or no row.
        """
        row: Row = from_stored(Row, stored, SCHEMA)
        return row


@dataclass(frozen=True)
class Estimate:
    """What the table says of a kernel.

    Attributes:
        rows: The rows that it was read from: those at the rate, or at the rates below and above.
    """

    median_s: float
    p10_s: float
    p90_s: float
    rows: tuple[Row, ...]

    @property
    def is_interpolated(self) -> bool:
        """True if nothing was measured at the very rate."""
        return len({row.cell.task.activation_rate for row in self.rows}) > 1


class LatencyTable(Collection[Row]):
    """The rows in `folder`, which is written to, and those in `shipped`, which are read only."""

    def __init__(self, folder: Path, shipped: Path | None = None) -> None:
        super().__init__(folder, FILE_NAME, shipped, Row.from_json, _place)

    def rows(self, *, shipped: bool = True) -> Iterator[Item[Row]]:
        """All rows that can be read, file by file, in the order in which they were written."""
        return self.items(shipped=shipped)

    def current(self) -> list[Row]:
        """The rows in `folder` that were measured with this TVM, in the order in which they were written."""
        return [item.value for item in self.rows(shipped=False) if _is_current(item.value)]

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of `cells` that were not measured with this TVM yet, in order: where an interrupted run goes on."""
        present = {row.cell.identity for row in self.current()}
        return [cell for cell in cells if cell.identity not in present]

    def latency(
        self,
        task: Task,
        algorithm: str,
        definition: str,
        *,
        decisions: Mapping[str, Any] | None = None,
        granularity: tuple[int, int] | None = None,
    ) -> Estimate | None:
        """How long the kernel of `task` takes by `algorithm` at the task's activation rate; None if that is not known.

        Equal must be: workload, target key, number of threads, version of TVM, algorithm, definition, and `decisions`
        and `granularity` where they are given. Rows of the task's device count, or, if there are none, those of others.
        Of several measurements at one rate the last one counts. Between two measured rates latencies are interpolated
        linearly; below the lowest and above the highest one nothing is known. The rate does not matter to a kernel
        that is not dynamic.
        """
        rows = self._rows_of(task, algorithm, definition, decisions)
        return _read([row for row in rows if granularity is None or row.cell.granularity == granularity], task)

    def latency_by_granularity(
        self, task: Task, algorithm: str, definition: str, *, decisions: Mapping[str, Any] | None = None
    ) -> dict[tuple[int, int] | None, Estimate]:
        """What `latency` says from the rows of each granularity alone, for each of which anything is known.

        None stands for the rows without a mask. The same devices count for all of them.
        """
        rows = _of_device(self._rows_of(task, algorithm, definition, decisions), task.device)
        alike: dict[tuple[int, int] | None, list[Row]] = {}
        for row in rows:
            alike.setdefault(row.cell.granularity, []).append(row)
        found = {granularity: _read(rows, task) for granularity, rows in alike.items()}
        return {granularity: estimate for granularity, estimate in found.items() if estimate is not None}

    def _rows_of(
        self, task: Task, algorithm: str, definition: str, decisions: Mapping[str, Any] | None
    ) -> list[Row]:
        """Those that are about such a kernel, on any device."""

        def fits(row: Row) -> bool:
            cell = row.cell
            return (
                cell.algorithm == algorithm
                and cell.definition == definition
                and cell.task.threads == task.threads
                and cell.task.workload == task.workload
                and cell.task.target == task.target
                and (decisions is None or dict(cell.decisions) == dict(decisions))
            )

        return [item.value for item in self.rows() if _is_current(item.value) and fits(item.value)]


def open_table(folder: Path | None = None) -> LatencyTable:
    """The table of the user (in `folder`, if given), and behind it the one that lascompile comes with.

    Raises:
        UsageError: `folder` is a file.
    """
    return LatencyTable(check_folder(folder if folder is not None else user_folder()), shipped_folder())


def _place(row: Row) -> tuple[str, str, Mapping[str, Any]]:
    return row.cell.task.device, row.versions.tvm, row.to_json()


def _is_current(row: Row) -> bool:
    return row.versions.tvm == installed_tvm()


def _of_device(rows: Sequence[Row], device: str) -> Sequence[Row]:
    """The rows of `device`, or, if there are none, those of others."""
    return [row for row in rows if row.cell.task.device == device] or rows


def _read(rows: Sequence[Row], task: Task) -> Estimate | None:
    """What `rows` of the kernel of `task` say."""
    rows = sorted(_of_device(rows, task.device), key=lambda row: row.when)
    if not rows:
        return None
    if not is_dynamic(task.workload):
        return _estimate(rows[-1:], task.activation_rate)
    return _between(rows, task.activation_rate)


def _between(rows: Sequence[Row], rate: float) -> Estimate | None:
    """From the last measurements at the rates nearest to `rate`; `rows` are in order of time."""
    last = {round(row.cell.task.activation_rate / _SAME_RATE): row for row in rows}
    wanted = round(rate / _SAME_RATE)
    below = max((number for number in last if number <= wanted), default=None)
    above = min((number for number in last if number >= wanted), default=None)
    if below is None or above is None:
        return None
    return _estimate([last[number] for number in sorted({below, above})], rate)


def _estimate(rows: Sequence[Row], rate: float) -> Estimate:
    """Linear between the rates of one row or two."""
    rates = [row.cell.task.activation_rate for row in rows]

    def at(latency_s: Callable[[Latency], float]) -> float:
        return float(np.interp(rate, rates, [latency_s(row.latency) for row in rows]))

    median, p10, p90 = at(lambda x: x.median_s), at(lambda x: x.p10_s), at(lambda x: x.p90_s)
    return Estimate(median, p10, p90, tuple(rows))
