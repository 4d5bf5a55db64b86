"""Ask for the next block of weights while the row tiles of this one are computed.

At batch 1 every weight comes from memory once an inference. Left to the hardware, all of a block's weights are waited
for by the first tile of rows that meets them, and the memory bus idles while the other tiles find them in cache. So
each tile asks for its share of the block that comes next:

    for depth in …:  sums += …   →   for depth in …:  prefetch(weight of the next block);  sums += …
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm import tirx
from tvm.ir import Expr

from lascompile.schedules.guard import ROW_TILES
from lascompile.schedules.rebuild import change_below, without_notes

PREFETCH = "lascompile.prefetch"
"""Annotation of the loop over the depth of a sum: [lines per iteration, steps of the sum per iteration]."""

CHANNEL_BLOCKS = "lascompile.channel_blocks"
"""Annotation of the loop over a walker's channel blocks: how many row walkers share the parallel loop."""

_LINE_FLOATS = 16
_READ, _TO_SECOND_LEVEL, _DATA = 0, 2, 1


@dataclass(frozen=True)
class _Nest:
    """The loops around the place that is being looked at, as far as they matter."""

    parallel: tirx.For | None = None
    blocks: tirx.For | None = None
    tiles: tirx.For | None = None
    tap: tirx.For | None = None


def prefetch_weights(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """Add prefetches to the loop annotated with PREFETCH, if there is one."""
    weight = next(param for param in func.params if str(param.name) == "weight")
    return func.with_body(_asking(func.body, weight, _Nest()))


def _asking(stmt: tirx.Stmt, weight: tirx.Var, nest: _Nest) -> tirx.Stmt:
    if not isinstance(stmt, tirx.For):
        return change_below(stmt, lambda part: _asking(part, weight, nest))
    loop = without_notes(stmt, PREFETCH, CHANNEL_BLOCKS)
    if PREFETCH in stmt.annotations:
        return change_below(loop, lambda body: tirx.SeqStmt([_ask(stmt, weight, nest), body]))
    return change_below(loop, lambda body: _asking(body, weight, _entered(nest, stmt)))


def _entered(nest: _Nest, loop: tirx.For) -> _Nest:
    if loop.kind == tirx.ForKind.PARALLEL:
        return replace(nest, parallel=loop)
    if CHANNEL_BLOCKS in loop.annotations:
        return replace(nest, blocks=loop)
    if ROW_TILES in loop.annotations:
        return replace(nest, tiles=loop)
    return replace(nest, tap=loop)


def _ask(depth: tirx.For, weight: tirx.Var, nest: _Nest) -> tirx.Stmt:
    """Prefetches of this tile's share; the first tiles together ask for the whole block, the others for nothing."""
    assert nest.parallel is not None and nest.blocks is not None and nest.tiles is not None and nest.tap is not None
    tap = nest.tap.loop_var
    lines, steps = (int(number) for number in depth.annotations[PREFETCH])
    _, taps, channels, width = (int(dim) for dim in weight.shape)
    row_walkers = int(nest.blocks.annotations[CHANNEL_BLOCKS])
    walker = tirx.floordiv(nest.parallel.loop_var, row_walkers)
    block = walker * nest.blocks.extent + nest.blocks.loop_var
    share = nest.tiles.loop_var * (lines * _LINE_FLOATS)
    next_block = taps * channels * width

    def prefetch(line: int) -> tirx.Stmt:
        ahead: Expr = next_block + share + line * _LINE_FLOATS
        address = tirx.address_of(weight[block, tap, depth.loop_var * steps, ahead])
        hints = (tirx.const(hint, "int32") for hint in (_READ, _TO_SECOND_LEVEL, _DATA))
        return tirx.Evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch", address, *hints))

    asks = [prefetch(line) for line in range(lines)]
    tiles_that_ask = -(-steps * width // (lines * _LINE_FLOATS))
    is_asking = nest.tiles.loop_var < tiles_that_ask
    return tirx.IfThenElse(is_asking, tirx.SeqStmt(asks) if len(asks) > 1 else asks[0], None)
