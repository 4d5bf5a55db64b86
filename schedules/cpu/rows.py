"""Schedules of the kernels that sweep over rows without reuse: element-wise, pooling, layout. Memory bounds them."""

from __future__ import annotations

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV

from lascompile.kernels.layout import define_layout
from lascompile.kernels.pooling import define_pool
from lascompile.kernels.row_map import define_row_map
from lascompile.schedules.guard import ROW_TILES, guard_rows
from lascompile.workload import LayoutWorkload, MapWorkload, PoolWorkload

_MOST_CHANNELS = 64
"""Channels of one vectorised statement, at most."""

_FEW_CHANNELS = 8
"""Channels that are unrolled rather than looped over, at most."""


def schedule_row_map(workload: MapWorkload, threads: int) -> tirx.PrimFunc:
    """Rows are dealt out to `threads` in turn; channels are vectorised."""
    sch = Schedule(define_row_map(workload))
    _sweep(sch, threads)
    zero_row = not workload.scatters
    return guard_rows(sch.mod["main"], workload.rows, workload.counted, zero_row, workload.in_place)


def schedule_pool(workload: PoolWorkload, threads: int) -> tirx.PrimFunc:
    """As for element-wise kernels; the window is summed up in registers."""
    sch = Schedule(define_pool(workload))
    inner = _sweep(sch, threads)
    acc = sch.get_sblock("acc")
    sch.compute_at(acc, inner, preserve_unit_loops=True)
    sch.set_scope(acc, 0, "local")
    channel, i, j = sch.get_loops(acc)[-3:]
    sch.reorder(i, j, channel)
    sch.vectorize(channel)
    zero = sch.decompose_reduction(acc, i)
    sch.vectorize(sch.get_loops(zero)[-1])
    return guard_rows(sch.mod["main"], workload.window.output_rows, counted=False, zero_row=True)


def schedule_layout(workload: LayoutWorkload, threads: int) -> tirx.PrimFunc:
    """Parallel over lines of the image on the way in, over channels on the way out.

    The few channels of an image are unrolled, so that reading line by line from each plane stays sequential.
    """
    sch = Schedule(define_layout(workload))
    image, second, _, last = sch.get_loops(sch.get_sblock("store"))
    sch.parallel(sch.fuse(image, second))
    if not workload.to_rows:
        return sch.mod["main"]
    if int(sch.get(last).extent) <= _FEW_CHANNELS:
        sch.unroll(last)
    rows = workload.shape[0] * workload.shape[2] * workload.shape[3]
    return guard_rows(sch.mod["main"], rows, counted=False, zero_row=True)


def _sweep(sch: Schedule, threads: int) -> LoopRV:
    """Walk over single rows in parallel and over vectors of channels; returns the loop over channel blocks."""
    row, channel = sch.get_loops(sch.get_sblock("store"))
    tile, walker, row = sch.split(row, [None, threads, 1])
    width = int(sch.get(channel).extent)
    vector = next(w for w in range(min(width, _MOST_CHANNELS), 0, -1) if width % w == 0)
    block, vectorised = sch.split(channel, [None, vector])
    sch.reorder(walker, tile, row, block, vectorised)
    sch.parallel(walker)
    sch.annotate(tile, ROW_TILES, [1, threads])
    sch.vectorize(vectorised)
    return block
