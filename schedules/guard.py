"""Bound a scheduled kernel by the count that stands in memory when it runs.

A dynamic operator is written and scheduled for its worst case, all pixels active. Afterwards, in the loop nest:

- for tile in range(ceil(rows / R)):  →  for tile in range(ceil(count[0] / R)):
- the predicates that keep the last tile within `rows` are dropped, since it may write the slack rows of its output;
- a residual in place, an argument of its own while it was scheduled, becomes the output's buffer;
- row 0 of a dense or packed output is set to zero, for the convolutions that read it as padding.

So no shape is symbolic, nothing waits for the host, and memory is planned at build time. On a GPU the same count bounds
the block index.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir, tirx
from tvm.ir import Expr

from lascompile.schedules.rebuild import change_below, with_fields, without_notes

ROW_TILES = "lascompile.row_tiles"
"""Annotation of the loop over tiles of rows: [rows in a tile, walkers].

With W walkers the tiles are dealt out in turn, so that walker w takes the tiles w, w + W, w + 2 W, …: however few rows
are active, the walkers stay balanced. The walker is the enclosing parallel loop's index modulo W.
"""


def guard_rows(func: tirx.PrimFunc, rows: int, counted: bool, zero_row: bool, in_place: bool = False) -> tirx.PrimFunc:
    """Bound the loop over row tiles by `count[0]` if `counted`, else by `rows`; see the module's description."""
    by_name = {str(param.name): param for param in func.params}
    if in_place:
        # One pointer instead of two that may be equal: LLVM would otherwise fear that each store changes what it loads.
        func = func.specialize({by_name["residual"]: by_name["output"]})
    count: Expr = by_name["count"][0] if counted else tirx.const(rows, "int32")

    def bound(loop: tirx.For, parallel_index: Expr) -> Expr:
        tile_rows, walkers = (int(number) for number in loop.annotations[ROW_TILES])
        tiles = tirx.floordiv(count + (tile_rows - 1), tile_rows)
        if walkers == 1:
            return tiles
        walker = tirx.floormod(parallel_index, walkers)
        return tirx.max(tirx.floordiv(tiles - walker + (walkers - 1), walkers), 0)

    body = _bounded(func.body, bound, tirx.const(0, "int32"))
    if zero_row:
        body = _prepend(body, _set_zero(by_name["output"]))
    return func.with_body(body)


def _bounded(stmt: tirx.Stmt, bound: Callable[[tirx.For, Expr], Expr], parallel_index: Expr) -> tirx.Stmt:
    if isinstance(stmt, tirx.For) and stmt.kind == tirx.ForKind.PARALLEL:
        parallel_index = stmt.loop_var
    stmt = change_below(stmt, lambda part: _bounded(part, bound, parallel_index))
    if isinstance(stmt, s_tir.SBlockRealize):
        return with_fields(stmt, predicate=True)  # it guards the rows only
    if isinstance(stmt, tirx.For) and ROW_TILES in stmt.annotations:
        return with_fields(without_notes(stmt, ROW_TILES), extent=bound(stmt, parallel_index))
    return stmt


def _prepend(root: tirx.Stmt, first: tirx.Stmt) -> tirx.Stmt:
    assert isinstance(root, s_tir.SBlockRealize) and not root.block.iter_vars
    return change_below(root, lambda body: tirx.SeqStmt([first, body]))


def _set_zero(output: tirx.Var) -> tirx.Stmt:
    channel = tirx.Var("channel", "int32")
    store = tirx.BufferStore(output, tirx.const(0.0, "float32"), [tirx.const(0, "int32"), channel])
    return tirx.For(channel, tirx.const(0, "int32"), output.shape[1], tirx.ForKind.SERIAL, store)
