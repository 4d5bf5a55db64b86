"""What a CPU has to do for kernels that are no convolution: poolings, maps, layouts, lists and tables.

Lists are made by one thread, a pixel after the other; what is read and written stays in caches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lascompile.schedules.work import Engine, Work
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
    channel_stride,
)

_FLOAT = 4
_CYCLES_OF_A_PIXEL = 1.0
"""To copy a byte through an index, or to take over a list's next place: they do not depend on one another."""

_CYCLES_OF_A_TAP = 0.75
"""Of a table's or a dilation's: address, bounds, load, store, two or three of them side by side."""


def _serial(cycles: float) -> Work:
    return Work(engines=1, fmas=0, loads=0, stalls=cycles, tiles=0)


def _streams(read: float, written: float, threads: int, loads: float = 0.0) -> Work:
    """Bytes that all threads together read and write, and vectors that they load."""
    return Work(
        engines=threads,
        fmas=0,
        loads=loads / threads,
        stalls=0,
        tiles=0,
        read_bytes=read / threads,
        written_bytes=written / threads,
    )


def _pool(workload: PoolWorkload, share: float, threads: int, engine: Engine) -> Work:
    window, stride = workload.window, channel_stride(workload.channels)
    inputs = window.batch * window.input_size[0] * window.input_size[1]
    outputs = window.batch * window.output_size[0] * window.output_size[1]
    taps = window.kernel[0] * window.kernel[1]
    loads = outputs * taps * stride / engine.lanes
    return _streams(_FLOAT * inputs * stride, _FLOAT * outputs * stride, threads, loads)


def _map(workload: MapWorkload, share: float, threads: int, engine: Engine) -> Work:
    numbers = share * workload.rows * channel_stride(workload.channels)
    operands = sum(kind in ("row", "list", "table") for kind in workload.operands) + workload.epilogue.takes_residual
    return _streams(_FLOAT * numbers * operands, _FLOAT * numbers, threads, numbers * (operands + 1) / engine.lanes)


def _layout(workload: LayoutWorkload, share: float, threads: int, engine: Engine) -> Work:
    batch, channels, height, width = workload.shape
    numbers = batch * height * width * channels
    return _streams(_FLOAT * numbers, _FLOAT * numbers, threads, 2.0 * numbers)


def _copy(workload: CopyWorkload, share: float, threads: int, engine: Engine) -> Work:
    size = _FLOAT * workload.elements
    return _streams(size, size, threads)


def _move(workload: MoveWorkload, share: float, threads: int, engine: Engine) -> Work:
    return _serial(_CYCLES_OF_A_PIXEL * workload.outputs)


def _active(workload: ActiveWorkload, share: float, threads: int, engine: Engine) -> Work:
    return _serial(_CYCLES_OF_A_PIXEL * workload.rows * workload.groups)


def _rows(workload: UnionWorkload | CompactWorkload, share: float, threads: int, engine: Engine) -> Work:
    return _serial(_CYCLES_OF_A_PIXEL * workload.rows)


def _dilate(workload: DilateWorkload, share: float, threads: int, engine: Engine) -> Work:
    window = workload.window
    taps = window.kernel[0] * window.kernel[1]
    return _parallel(window.batch * window.input_size[0] * window.input_size[1] * taps, threads)


def _table(workload: TableWorkload, share: float, threads: int, engine: Engine) -> Work:
    window = workload.window
    taps = window.kernel[0] * window.kernel[1]
    return _parallel(share * window.batch * window.output_size[0] * window.output_size[1] * taps, threads)


def _active_tiles(workload: ActiveTilesWorkload, share: float, threads: int, engine: Engine) -> Work:
    return _parallel(workload.tiles * workload.outputs, threads)


def _tile_table(workload: TileTableWorkload, share: float, threads: int, engine: Engine) -> Work:
    return _parallel(share * workload.tiles * (workload.inputs + workload.outputs), threads)


def _parallel(taps: float, threads: int) -> Work:
    return Work(engines=threads, fmas=0, loads=0, stalls=_CYCLES_OF_A_TAP * taps / threads, tiles=0)


LIGHT_WORK: dict[type[Workload], Callable[[Any, float, int, Engine], Work]] = {
    ActiveWorkload: _active,
    DilateWorkload: _dilate,
    UnionWorkload: _rows,
    CompactWorkload: _rows,
    TableWorkload: _table,
    ActiveTilesWorkload: _active_tiles,
    TileTableWorkload: _tile_table,
    CopyWorkload: _copy,
    MoveWorkload: _move,
    MapWorkload: _map,
    PoolWorkload: _pool,
    LayoutWorkload: _layout,
}
"""By class: a workload, the share of its rows that are active, threads and engine → what there is to do."""
