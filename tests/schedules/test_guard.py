"""The loop over row tiles, before and after it is bound by the count."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tvm import s_tir, tirx
from tvm.ir import assert_structural_equal
from tvm.s_tir import Schedule

from lascompile.kernels.row_map import define_row_map
from lascompile.schedules.cpu.row_conv import Decisions, schedule_row_conv
from lascompile.schedules.guard import ROW_TILES, guard_rows
from lascompile.workload import ConvWorkload, Epilogue, MapWorkload

ROWS, TILE_ROWS = 20, 6
OPERATORS: dict[str, Callable[[int, int], int]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "FloorDiv": operator.floordiv,
    "FloorMod": operator.mod,
    "Max": max,
}
COPY = MapWorkload(ROWS, ROWS, 4, "Identity", ("row",), (ROWS,), counted=True, scatters=False)


def tiled(walkers: int, workload: MapWorkload = COPY) -> tirx.PrimFunc:
    """Tiles of rows in turn to `walkers`; the last tile is kept within the rows by a predicate."""
    sch = Schedule(define_row_map(workload))
    row, channel = sch.get_loops(sch.get_sblock("store"))
    tile, walker, row = sch.split(row, [None, walkers, TILE_ROWS])
    sch.reorder(walker, tile, row, channel)
    sch.parallel(walker)
    sch.annotate(tile, ROW_TILES, [TILE_ROWS, walkers])
    sch.annotate(tile, "kept", 1)
    return sch.mod["main"]


def statements_of(stmt: Any) -> Iterator[Any]:
    """`stmt` and all within."""
    yield stmt
    if isinstance(stmt, tirx.SeqStmt):
        for part in stmt.seq:
            yield from statements_of(part)
    elif isinstance(stmt, s_tir.SBlockRealize):
        yield from statements_of(stmt.block.body)
    elif isinstance(stmt, tirx.For):
        yield from statements_of(stmt.body)


def loops_of(func: tirx.PrimFunc) -> list[tirx.For]:
    return [stmt for stmt in statements_of(func.body) if isinstance(stmt, tirx.For)]


def tiles_of(func: tirx.PrimFunc) -> tirx.For:
    """The loop over tiles, which keeps the annotations that are not the guard's."""
    (loop,) = [loop for loop in loops_of(func) if "kept" in loop.annotations]
    return loop


def predicates_of(func: tirx.PrimFunc) -> list[bool]:
    """For each block, whether it runs under a condition."""
    blocks = [stmt for stmt in statements_of(func.body) if isinstance(stmt, s_tir.SBlockRealize)]
    return [not isinstance(block.predicate, tirx.IntImm) for block in blocks]


def value_of(expr: Any, count: int, walker: int) -> int:
    """`expr` with `count` in memory, in the parallel loop's iteration `walker`."""
    if isinstance(expr, tirx.IntImm):
        return int(expr)
    if str(expr) == "count[0]":
        return count
    if isinstance(expr, tirx.Var):
        return walker
    return OPERATORS[type(expr).__name__](value_of(expr.a, count, walker), value_of(expr.b, count, walker))


@pytest.mark.parametrize("walkers", [1, 2, 3, 8])
def test_each_walker_takes_its_tiles_and_no_more(walkers: int) -> None:
    extent = tiles_of(guard_rows(tiled(walkers), ROWS, counted=True, zero_row=False)).extent
    for count in range(ROWS + 1):
        tiles = -(-count // TILE_ROWS)
        expected = [len(range(walker, tiles, walkers)) for walker in range(walkers)]
        assert [value_of(extent, count, walker) for walker in range(walkers)] == expected


def test_predicates_are_dropped_and_other_annotations_kept() -> None:
    before = tiled(2)
    after = guard_rows(before, ROWS, counted=True, zero_row=False)
    assert any(predicates_of(before)) and not any(predicates_of(after))
    assert ROW_TILES in tiles_of(before).annotations and ROW_TILES not in tiles_of(after).annotations


def test_nothing_but_the_tiles_changes() -> None:
    """Before and after differ in the extent of one loop; without annotations nothing changes."""
    before, after = tiled(2), guard_rows(tiled(2), ROWS, counted=True, zero_row=False)
    extents = [
        [int(loop.extent) for loop in loops_of(func) if "kept" not in loop.annotations]
        for func in (before, after)
    ]
    assert extents[0] == extents[1]
    untiled = define_row_map(COPY)
    assert_structural_equal(guard_rows(untiled, ROWS, counted=True, zero_row=False), untiled, map_free_vars=True)


def test_a_dense_loop_is_bound_by_the_rows() -> None:
    dense = MapWorkload(ROWS, ROWS, 4, "Identity", ("row",), (ROWS,), counted=False, scatters=False)
    loop = tiles_of(guard_rows(tiled(1, dense), ROWS, counted=False, zero_row=False))
    assert value_of(loop.extent, count=-1, walker=0) == -(-ROWS // TILE_ROWS)


@pytest.mark.parametrize("zero_row", [True, False])
def test_row_zero(zero_row: bool) -> None:
    func = guard_rows(tiled(1), ROWS, counted=True, zero_row=zero_row)
    assert ("output[0, channel] = T.float32(0.0)" in func.script()) == zero_row


def test_a_residual_in_place_is_the_output() -> None:
    epilogue = Epilogue(add=True)
    workload = ConvWorkload(ROWS, ROWS, 1, 1, 8, 8, False, True, True, True, in_place=True, epilogue=epilogue)
    func = schedule_row_conv(workload, Decisions(4, 8, 4, 1, 2, True))
    assert [str(param.name) for param in func.params] == ["input", "weight", "bias", "list", "count", "output"]
    assert "residual" not in func.script()
