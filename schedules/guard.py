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

    body = _rebuild(func.body, bound, tirx.const(0, "int32"))
    if zero_row:
        body = _prepend(body, _set_zero(by_name["output"]))
    return func.with_body(body)


def _rebuild(
    stmt: tirx.Stmt, bound: Callable[[tirx.For, Expr], Expr], parallel_index: Expr
) -> tirx.Stmt:
    if isinstance(stmt, tirx.For):
        if stmt.kind == tirx.ForKind.PARALLEL:
            parallel_index = stmt.loop_var
        extent = bound(stmt, parallel_index) if ROW_TILES in stmt.annotations else stmt.extent
        notes = {key: value for key, value in stmt.annotations.items() if key != ROW_TILES}
        body = _rebuild(stmt.body, bound, parallel_index)
        return tirx.For(stmt.loop_var, stmt.min, extent, stmt.kind, body, stmt.thread_binding, notes)
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_rebuild(part, bound, parallel_index) for part in stmt.seq])
    if isinstance(stmt, s_tir.SBlockRealize):
        block = stmt.block
        if block.iter_vars:  # a leaf: its predicate guards the rows only
            return s_tir.SBlockRealize(stmt.iter_values, True, block)
        body = _rebuild(block.body, bound, parallel_index)
        return s_tir.SBlockRealize(stmt.iter_values, True, with_body(block, body))
    return stmt


def with_body(block: s_tir.SBlock, body: tirx.Stmt) -> s_tir.SBlock:
    """`block` with another body."""
    return s_tir.SBlock(
        block.iter_vars,
        block.reads,
        block.writes,
        block.name_hint,
        body,
        block.init,
        block.alloc_buffers,
        block.match_buffers,
        block.annotations,
    )


def _prepend(root: tirx.Stmt, first: tirx.Stmt) -> tirx.Stmt:
    assert isinstance(root, s_tir.SBlockRealize)
    body = tirx.SeqStmt([first, root.block.body])
    return s_tir.SBlockRealize(root.iter_values, root.predicate, with_body(root.block, body))


def _set_zero(output: tirx.Var) -> tirx.Stmt:
    channel = tirx.Var("channel", "int32")
    store = tirx.BufferStore(output, tirx.const(0.0, "float32"), [tirx.const(0, "int32"), channel])
    return tirx.For(channel, tirx.const(0, "int32"), output.shape[1], tirx.ForKind.SERIAL, store)
