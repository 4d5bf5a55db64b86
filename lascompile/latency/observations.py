"""Measured kernels beside what they had to do: what a predictor is fitted to, and held against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lascompile.latency.counts import MaskShape, expected_count, reach_of
from lascompile.latency.table import Row
from lascompile.machine import DataSheet
from lascompile.records.fields import from_fields
from lascompile.schedules.backends import BACKENDS, algorithm_of
from lascompile.schedules.work import Engine, Work
from lascompile.target import CpuTarget, Target
from lascompile.workload import ConvWorkload, WinogradWorkload


@dataclass(frozen=True)
class KernelCall:
    """A kernel, and the load that it runs under.

    Attributes:
        workload: What is computed.
        kind: Kind of the target.
        algorithm: By which of its algorithms.
        decisions: Of its schedule.
        count: Active rows or tiles.
        threads: Threads that run it.
    """

    workload: ConvWorkload | WinogradWorkload
    kind: str
    algorithm: str
    decisions: Any
    count: float
    threads: int

    @property
    def shape(self) -> str:
        """What kernels that compute the same convolution have in common, whatever mask, rate, algorithm or schedule."""
        workload = self.workload
        names = ("taps", "groups", "in_channels", "out_channels", "input_rows", "map_rows")
        return " ".join(str(getattr(workload, name)) for name in names)

    @property
    def kernel(self) -> str:
        """What kernels have in common that differ in their count alone."""
        return f"{self.algorithm} {self.decisions!r} {self.workload.epilogue.takes_residual:d}"

    def work(self, engine: Engine) -> Work:
        """What the busiest engine has to do."""
        return algorithm_of(self.kind, self.algorithm).work(self.workload, self.decisions, self.count, engine)


@dataclass(frozen=True)
class Observation:
    """One row of the latency table."""

    row: Row
    call: KernelCall
    engine: Engine

    @cached_property
    def work(self) -> Work:
        """What the kernel had to do."""
        return self.call.work(self.engine)

    @property
    def latency_s(self) -> float:
        """How long it took."""
        return self.row.latency.median_s

    @property
    def shape(self) -> str:
        """See `KernelCall.shape`."""
        return self.call.shape


def observe(rows: Iterable[Row], sheet: DataSheet) -> list[Observation]:
    """What the convolutions among `rows` had to do on a device with the data sheet `sheet`."""
    return [_observation(row, sheet) for row in rows if _is_known(row)]


def _is_known(row: Row) -> bool:
    backend = BACKENDS.get(row.cell.task.target.kind)
    return backend is not None and row.cell.algorithm in backend.algorithms


def engine_of(target: Target, sheet: DataSheet) -> Engine:
    """The engine that code for `target` runs on."""
    if isinstance(target, CpuTarget):  # code may use less than the device has
        return Engine(target.lanes, target.vector_registers, sheet.engine_memory_bytes)
    return Engine(sheet.vector_lanes, sheet.vector_registers, sheet.engine_memory_bytes)


def _observation(row: Row, sheet: DataSheet) -> Observation:
    cell, task = row.cell, row.cell.task
    decisions = from_fields(algorithm_of(task.target.kind, cell.algorithm).decisions, dict(cell.decisions), "decisions")
    assert isinstance(task.workload, ConvWorkload | WinogradWorkload)
    count = row.count if row.count is not None else _expected(row)
    call = KernelCall(task.workload, task.target.kind, cell.algorithm, decisions, count, task.threads)
    return Observation(row, call, engine_of(task.target.target(), sheet))


def _expected(row: Row) -> float:
    """Of a row that does not tell its count."""
    cell, task = row.cell, row.cell.task
    assert isinstance(task.workload, ConvWorkload | WinogradWorkload)
    if cell.granularity is None or cell.stage is None:
        return float(task.workload.most)
    mask = MaskShape(cell.stage[1:], cell.granularity)
    reach = reach_of(task.workload, mask, task.batch)
    return expected_count(task.workload, mask, task.activation_rate, task.batch, reach)
