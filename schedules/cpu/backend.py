"""The backend of CPUs, x86 and Arm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import tirx

from lascompile.kernels import layout, mask_lists, tile_lists
from lascompile.schedules.backend import Backend
from lascompile.schedules.cpu import rows
from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.schedules.cpu.light_work import LIGHT_WORK
from lascompile.schedules.cpu.lists import schedule_lines
from lascompile.schedules.cpu.pipeline import register_pipeline
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
)


def _by_lines(define: Callable[[Any], tirx.PrimFunc]) -> Callable[[Any, CpuTarget, int], tirx.PrimFunc]:
    return lambda workload, target, threads: schedule_lines(define(workload))


def _by_threads(schedule: Callable[[Any, int], tirx.PrimFunc]) -> Callable[[Any, CpuTarget, int], tirx.PrimFunc]:
    return lambda workload, target, threads: schedule(workload, threads)


CPU = Backend(
    algorithms=ALGORITHMS,
    kernels={
        ActiveWorkload: _by_lines(mask_lists.define_active),
        DilateWorkload: _by_lines(mask_lists.define_dilate),
        UnionWorkload: _by_lines(mask_lists.define_union),
        CompactWorkload: _by_lines(mask_lists.define_compact),
        TableWorkload: _by_lines(mask_lists.define_table),
        ActiveTilesWorkload: _by_lines(tile_lists.define_active_tiles),
        TileTableWorkload: _by_lines(tile_lists.define_tile_table),
        CopyWorkload: _by_lines(layout.define_copy),
        MoveWorkload: _by_lines(layout.define_move),
        MapWorkload: _by_threads(rows.schedule_row_map),
        PoolWorkload: _by_threads(rows.schedule_pool),
        LayoutWorkload: _by_threads(rows.schedule_layout),
    },
    work=LIGHT_WORK,
    pipeline=register_pipeline,
)
