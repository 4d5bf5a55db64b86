"""What a kernel is expected to cost before anything was measured: counted work, and the data sheet of such a device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lascompile.latency.observations import KernelCall
from lascompile.latency.predictor import Predictor
from lascompile.machine import DEVICES, DataSheet
from lascompile.plan.cost import PREDICTED, Cost
from lascompile.schedules.algorithm import Algorithm
from lascompile.target import CpuTarget, CudaTarget, Target
from lascompile.workload import Form


@dataclass(frozen=True)
class PredictedCosts:
    """Predicts kernels for one target and number of threads."""

    target: Target
    threads: int

    def cost(self, algorithm: Algorithm, workload: Form, decisions: Any, count: float) -> Cost:
        """Of a kernel that meets `count` active rows or tiles."""
        call = KernelCall(workload, self.target.kind, algorithm.name, decisions, count, self.threads)
        [found] = self._predictor.predict([call])
        return Cost(found.latency_s, found.low_s, found.high_s, PREDICTED)

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor.from_data_sheet(sheet_for(self.target), self.threads)


def sheet_for(target: Target) -> DataSheet:
    """The data sheet of a device like `target`: its own, or that of one which has as much, cut to what code may use."""
    if isinstance(target, CudaTarget):
        return max(_sheets("gpu"), key=lambda sheet: (sheet.arch == target.arch, sheet.arch <= target.arch, sheet.arch))
    assert isinstance(target, CpuTarget)

    def likeness(sheet: DataSheet) -> tuple[bool, bool, bool]:
        is_alike = (sheet.tensor_unit is not None) == target.has_tile_unit
        return sheet.arch == target.mcpu, is_alike, sheet.vector_lanes == target.lanes

    sheet = max(_sheets("cpu"), key=likeness)
    return replace(
        sheet,
        vector_lanes=target.lanes,
        vector_registers=target.vector_registers,
        fmas_per_cycle=sheet.fmas_per_cycle / sheet.vector_lanes * target.lanes,
    )


def _sheets(kind: str) -> list[DataSheet]:
    return [sheet for sheet in DEVICES.values() if sheet.kind == kind]
