"""From workload to scheduled code: the one table of which definition and schedule serve which workload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import tirx

from lascompile.kernels import layout, mask_lists, tile_lists
from lascompile.plan.algorithms import DIRECT, Algorithm, algorithm_of
from lascompile.plan.candidate import Candidate
from lascompile.plan.choice import Chooser
from lascompile.plan.measured import Measurements
from lascompile.plan.plan import Plan
from lascompile.schedules.cpu import rows
from lascompile.schedules.cpu.weight_stream import Stream
from lascompile.schedules.numerics import Numerics
from lascompile.target import Target
from lascompile.workload import (
    ActiveTilesWorkload,
    ActiveWorkload,
    CompactWorkload,
    CopyWorkload,
    DilateWorkload,
    LayoutWorkload,
    MapWorkload,
    PoolWorkload,
    TableWorkload,
    TileTableWorkload,
    UnionWorkload,
    WinogradWorkload,
    Workload,
)

# Lists are short and sequential by nature, copies rare: their definitions are their own schedules on a CPU.
_UNSCHEDULED: dict[type[Workload], Callable[[Any], tirx.PrimFunc]] = {
    ActiveWorkload: mask_lists.define_active,
    DilateWorkload: mask_lists.define_dilate,
    UnionWorkload: mask_lists.define_union,
    CompactWorkload: mask_lists.define_compact,
    TableWorkload: mask_lists.define_table,
    ActiveTilesWorkload: tile_lists.define_active_tiles,
    TileTableWorkload: tile_lists.define_tile_table,
    CopyWorkload: layout.define_copy,
}
_SWEEPS: dict[type[Workload], Callable[[Any, int], tirx.PrimFunc]] = {
    MapWorkload: rows.schedule_row_map,
    PoolWorkload: rows.schedule_pool,
    LayoutWorkload: rows.schedule_layout,
}


@dataclass(frozen=True)
class ScheduledKernel:
    """A workload with the decisions of its schedule.

    Attributes:
        workload: What is computed.
        threads: On how many threads.
        decisions: How, if it is a convolution; their class says by which algorithm.
        stream: What it prefetches for itself and for the kernel that follows; see `lookahead`.
        candidates: The ways to compute it, if it is a convolution, the best first.
    """

    workload: Workload
    threads: int
    decisions: object = None
    stream: Stream | None = None
    candidates: Sequence[Candidate] = field(default=(), compare=False)

    @property
    def label(self) -> str:
        """The workload's name, and the algorithm where it is not the plain one."""
        name, algorithm = self.workload.name(), self.algorithm
        says_it_already = algorithm is DIRECT or isinstance(self.workload, WinogradWorkload)
        return name if algorithm is None or says_it_already else f"{name}_{algorithm.name}"

    @property
    def symbol(self) -> str:
        """The function's name in the library."""
        identity = f"{self.workload!r} {self.decisions!r} {self.threads} {self.stream!r}"
        return f"{self.label}_{hashlib.sha256(identity.encode()).hexdigest()[:10]}"

    @property
    def algorithm(self) -> Algorithm | None:
        """The algorithm of a convolution."""
        return None if self.decisions is None else algorithm_of(self.workload, self.decisions)

    def pack_weight(self, weight: np.ndarray) -> np.ndarray:
        """Weights [out, in / groups, kh, kw] as this kernel of a convolution takes them."""
        assert self.algorithm is not None
        return self.algorithm.pack(weight, self.workload, self.decisions)

    def function(self) -> tirx.PrimFunc:
        """The scheduled and guarded code."""
        if self.algorithm is not None:
            stream = () if self.stream is None else (self.stream,)
            return self.algorithm.schedule(self.workload, self.decisions, *stream)
        sweep = _SWEEPS.get(type(self.workload))
        if sweep is not None:
            return sweep(self.workload, self.threads)
        return _UNSCHEDULED[type(self.workload)](self.workload)


@dataclass(frozen=True)
class Scheduler:
    """Chooses algorithm and decisions of every kernel for one target and number of threads.

    Attributes:
        measurements: Records and latency table; None leaves both out.
    """

    target: Target
    threads: int
    numerics: Numerics = Numerics.FAST
    plan: Plan = Plan()
    measurements: Measurements | None = None

    def schedule(self, workload: Workload) -> ScheduledKernel:
        """The kernel of a workload that there is one way to compute."""
        return ScheduledKernel(workload, self.threads)

    def convolve(
        self, node: str, *workloads: Workload, granularity: tuple[int, int] | None = None
    ) -> ScheduledKernel:
        """The kernel for the convolution `node`, which stands in `workloads` in every form that it can take.

        `granularity` is S of the mask that it obeys, if there is one.

        Raises:
            UsageError: The plan wants an algorithm that cannot compute it here.
        """
        chooser = Chooser(self.target, self.threads, self.numerics, self.plan, self.measurements)
        chosen, candidates = chooser.choose(node, workloads, granularity)
        return ScheduledKernel(chosen.workload, self.threads, chosen.decisions, candidates=candidates)
