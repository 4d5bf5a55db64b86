"""From workload to scheduled code: the one table of which definition and schedule serve which workload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from lascompile.kernels import layout, mask_lists
from lascompile.schedules.cpu import row_conv, rows
from lascompile.target import Target
from lascompile.workload import (
    ActiveWorkload,
    CompactWorkload,
    ConvWorkload,
    CopyWorkload,
    DilateWorkload,
    LayoutWorkload,
    MapWorkload,
    PoolWorkload,
    TableWorkload,
    UnionWorkload,
    Workload,
)

# Lists are short and sequential by nature, copies rare: their definitions are their own schedules on a CPU.
_UNSCHEDULED: dict[type[Workload], Callable[[Any], tirx.PrimFunc]] = {
    ActiveWorkload: mask_lists.define_active,
    DilateWorkload: mask_lists.define_dilate,
    UnionWorkload: mask_lists.define_union,
    CompactWorkload: mask_lists.define_compact,
    TableWorkload: mask_lists.define_table,
    CopyWorkload: layout.define_copy,
}
_SWEEPS: dict[type[Workload], Callable[[Any, int], tirx.PrimFunc]] = {
    MapWorkload: rows.schedule_row_map,
    PoolWorkload: rows.schedule_pool,
    LayoutWorkload: rows.schedule_layout,
}


@dataclass(frozen=True)
class ScheduledKernel:
    """A workload with the decisions of its schedule."""

    workload: Workload
    threads: int
    decisions: row_conv.Decisions | None = None

    @property
    def label(self) -> str:
        """The workload's name."""
        return self.workload.name()

    @property
    def symbol(self) -> str:
        """The function's name in the library."""
        identity = f"{self.workload!r} {self.decisions!r} {self.threads}"
        return f"{self.workload.name()}_{hashlib.sha256(identity.encode()).hexdigest()[:10]}"

    def function(self) -> tirx.PrimFunc:
        """The scheduled and guarded code."""
        if isinstance(self.workload, ConvWorkload):
            assert self.decisions is not None
            return row_conv.schedule_row_conv(self.workload, self.decisions)
        sweep = _SWEEPS.get(type(self.workload))
        if sweep is not None:
            return sweep(self.workload, self.threads)
        return _UNSCHEDULED[type(self.workload)](self.workload)


@dataclass(frozen=True)
class Scheduler:
    """Chooses the decisions of every kernel for one target and number of threads."""

    target: Target
    threads: int

    def schedule(self, workload: Workload) -> ScheduledKernel:
        """The kernel that `build` uses for `workload`."""
        if isinstance(workload, ConvWorkload):
            decisions = row_conv.default_decisions(workload, self.target, self.threads)
            return ScheduledKernel(workload, self.threads, decisions)
        return ScheduledKernel(workload, self.threads)
