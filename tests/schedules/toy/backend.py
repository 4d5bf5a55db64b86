"""A kind of target in one folder: a CPU that knows neither vectors nor threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm import tirx
from tvm.s_tir import Schedule

from lascompile.kernels import layout, mask_lists, pooling, row_map, tile_lists
from lascompile.schedules.backend import Backend
from lascompile.schedules.cpu.pipeline import register_pipeline
from lascompile.schedules.guard import ROW_TILES, guard_rows
from lascompile.target import CpuTarget
from lascompile.workload import (
    ActiveTilesWorkload,
    ActiveWorkload,
    CompactWorkload,
    CopyWorkload,
    DilateWorkload,
    LayoutWorkload,
    MapWorkload,
    MoveWorkload,
    PoolWorkload,
    TableWorkload,
    TileTableWorkload,
    UnionWorkload,
    Workload,
)
from tests.schedules.toy.algorithms import ONE_BY_ONE


@dataclass(frozen=True)
class ToyTarget(CpuTarget):
    """Its artifacts run wherever the CPU's do."""

    kind: ClassVar[str] = "toy"

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"kind": "llvm"}


def _as_defined(define: Callable[[Any], tirx.PrimFunc]) -> Callable[[Any, ToyTarget, int], tirx.PrimFunc]:
    return lambda workload, target, threads: define(workload)


def _map(workload: MapWorkload, target: ToyTarget, threads: int) -> tirx.PrimFunc:
    sch = Schedule(row_map.define_row_map(workload))
    return _row_by_row(sch, workload.rows, workload.counted, not workload.scatters, workload.in_place)


def _pool(workload: PoolWorkload, target: ToyTarget, threads: int) -> tirx.PrimFunc:
    return _row_by_row(Schedule(pooling.define_pool(workload)), workload.window.output_rows)


def _layout(workload: LayoutWorkload, target: ToyTarget, threads: int) -> tirx.PrimFunc:
    func = layout.define_layout(workload)
    batch, _, height, width = workload.shape
    return guard_rows(func, batch * height * width, counted=False, zero_row=True) if workload.to_rows else func


def _row_by_row(
    sch: Schedule, rows: int, counted: bool = False, zero_row: bool = True, in_place: bool = False
) -> tirx.PrimFunc:
    sch.annotate(sch.get_loops(sch.get_sblock("store"))[0], ROW_TILES, [1, 1])
    return guard_rows(sch.mod["main"], rows, counted, zero_row, in_place)


_KERNELS: dict[type[Workload], Callable[[Any, Any, int], tirx.PrimFunc]] = {
    ActiveWorkload: _as_defined(mask_lists.define_active),
    DilateWorkload: _as_defined(mask_lists.define_dilate),
    UnionWorkload: _as_defined(mask_lists.define_union),
    CompactWorkload: _as_defined(mask_lists.define_compact),
    TableWorkload: _as_defined(mask_lists.define_table),
    ActiveTilesWorkload: _as_defined(tile_lists.define_active_tiles),
    TileTableWorkload: _as_defined(tile_lists.define_tile_table),
    CopyWorkload: _as_defined(layout.define_copy),
    MoveWorkload: _as_defined(layout.define_move),
    MapWorkload: _map,
    PoolWorkload: _pool,
    LayoutWorkload: _layout,
}

TOY = Backend(algorithms={ONE_BY_ONE.name: ONE_BY_ONE}, kernels=_KERNELS, work={}, pipeline=register_pipeline)
