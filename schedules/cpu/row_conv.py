"""Schedule of convolutions over rows on a CPU: a register tile of rows × channels that stays while the sum runs."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.s_tir import Schedule

from lascompile.kernels.row_conv import define_row_conv, weight_shape
from lascompile.schedules.cpu.prefetch import CHANNEL_BLOCKS, PREFETCH, prefetch_weights
from lascompile.schedules.guard import ROW_TILES, guard_rows
from lascompile.target import CpuTarget
from lascompile.workload import NOMINAL_RATE, ROW_SLACK, ConvWorkload, channel_stride

_WEIGHTS_OUTWEIGH_ROWS = 1.0
_UNROLLED_FMAS = 256
"""Multiply-adds in the unrolled body: enough to hide the loop, few enough for the decoder's cache and for LLVM."""


_MOST_ROWS = 14
"""Rows of a tile at most: as many addresses are held, and more of them than this are spilled."""

_LOSS_OF_HALF_TILE = 0.15
"""Share of speed that a tile of half the rows loses, since it reads its weights for half as many sums (measured)."""


@dataclass(frozen=True)
class Decisions:
    """The choices of one schedule.

    Attributes:
        tile_rows: Rows of the register tile, below ROW_SLACK.
        width: Channels of the register tile, and of a block of packed weights.
        unroll: Steps of the sum that are unrolled.
        channel_walkers: Parts that the channel blocks are dealt out to, in parallel.
        row_walkers: Parts that the row tiles are dealt out to, in parallel.
        rows_inside: True if one block of weights is kept while the row tiles pass; False if one tile of rows is kept
            while the weights pass.
        prefetch: Cache lines of the next block of weights that are asked for in each unrolled step; 0 is none.
    """

    tile_rows: int
    width: int
    unroll: int
    channel_walkers: int
    row_walkers: int
    rows_inside: bool
    prefetch: int = 0


def default_decisions(workload: ConvWorkload, target: CpuTarget, threads: int) -> Decisions:
    """Decisions that are good before anything was measured.

    The tile fills the vector registers with sums, less what holds weights. Where there are more weights than rows to
    read, each core keeps its own share of the weights, so that they come from memory once.
    """
    width, tile_rows = _register_tile(workload, target)
    blocks, taps, depth, _ = weight_shape(workload, width)
    weight_floats = taps * depth * channel_stride(workload.out_channels)
    row_floats = workload.rows * channel_stride(workload.in_channels)
    by_channel = weight_floats > _WEIGHTS_OUTWEIGH_ROWS * row_floats
    channel_walkers = _largest_divisor(blocks, threads) if by_channel else 1
    fmas = tile_rows * max(1, width // target.lanes)
    unroll = _largest_divisor(depth, max(1, _UNROLLED_FMAS // fmas))
    return Decisions(
        tile_rows=tile_rows,
        width=width,
        unroll=unroll,
        channel_walkers=channel_walkers,
        row_walkers=max(1, threads // channel_walkers),
        rows_inside=by_channel,
        prefetch=_lines_to_prefetch(workload, unroll * width, tile_rows) if by_channel else 0,
    )


def _lines_to_prefetch(workload: ConvWorkload, step_floats: int, tile_rows: int) -> int:
    """So many cache lines a step that the active tiles ask for all of the next block."""
    tiles = max(1, int(workload.rows * NOMINAL_RATE) // tile_rows)
    return max(1, -(-step_floats // (16 * tiles)))


def _register_tile(workload: ConvWorkload, target: CpuTarget) -> tuple[int, int]:
    """Channels and rows of the register tile."""
    widths = block_widths(workload, target.lanes)
    width = max((w for w in widths if w <= 2 * target.lanes), default=min(widths))
    vectors = -(-width // target.lanes)
    # One register holds the broadcast input, `vectors` hold weights, and the rest are sums.
    most = min((target.vector_registers - vectors - 1) // vectors, _MOST_ROWS)
    # A dense kernel knows its rows. A dynamic one meets any number, with half a tile wasted on average.
    expected = workload.rows * NOMINAL_RATE if workload.counted else workload.rows

    def cost(tile: int) -> float:
        computed = expected + (tile - 1) / 2 if workload.counted else -(-workload.rows // tile) * tile
        return computed / expected / (1 - _LOSS_OF_HALF_TILE * (1 - tile / most) ** 2 * 4)

    highest = min(most, workload.rows)
    return width, min(range(highest, highest // 2, -1), key=cost)


def block_widths(workload: ConvWorkload, lanes: int) -> list[int]:
    """The block widths that divide the channels."""
    per_group = workload.out_channels // workload.groups
    whole = channel_stride(workload.out_channels) if workload.groups == 1 or workload.is_depthwise else per_group
    return [w for w in range(1, min(whole, 4 * lanes) + 1) if whole % w == 0]


def _largest_divisor(number: int, most: int) -> int:
    return next(d for d in range(min(number, most), 0, -1) if number % d == 0)


def schedule_row_conv(workload: ConvWorkload, decisions: Decisions) -> tirx.PrimFunc:
    """The kernel of `workload`, scheduled by `decisions` and guarded by its count.

    Raises:
        ValueError: The tile is higher than the slack behind the rows or than all rows together, or a number does not
            divide what it cuts. The guard drops the predicates that TVM would write for the rest.
    """
    _check(workload, decisions)
    sch = Schedule(define_row_conv(workload, decisions.width))
    _walk_tiles(sch, decisions)
    _hold_sums_in_registers(sch, decisions)
    zero_row = not workload.scatters
    func = prefetch_weights(sch.mod["main"])
    return guard_rows(func, workload.rows, workload.counted, zero_row, workload.in_place)


def _walk_tiles(sch: Schedule, decisions: Decisions) -> None:
    """Deal the tiles out to the walkers, and sum up where the tile is stored."""
    store = sch.get_sblock("store")
    row, block, channel = sch.get_loops(store)
    row_tile, row_walker, row = sch.split(row, [None, decisions.row_walkers, decisions.tile_rows])
    channel_walker, block = sch.split(block, [decisions.channel_walkers, None])
    middle = (block, row_tile) if decisions.rows_inside else (row_tile, block)
    sch.reorder(channel_walker, row_walker, *middle, row, channel)
    sch.parallel(sch.fuse(channel_walker, row_walker))
    sch.annotate(row_tile, ROW_TILES, [decisions.tile_rows, decisions.row_walkers])
    sch.annotate(block, CHANNEL_BLOCKS, decisions.row_walkers)
    sch.compute_at(sch.get_sblock("acc"), middle[1], preserve_unit_loops=True)
    sch.unroll(row)
    sch.vectorize(channel)


def _hold_sums_in_registers(sch: Schedule, decisions: Decisions) -> None:
    """Sum up in a local tile, fully unrolled, so that LLVM keeps it in vector registers."""
    acc = sch.get_sblock("acc")
    sch.set_scope(acc, 0, "local")
    row, block, channel, tap, depth = sch.get_loops(acc)[-5:]
    depth, step = sch.split(depth, [None, decisions.unroll])
    sch.reorder(tap, depth, step, row, block, channel)
    if decisions.prefetch:
        sch.annotate(depth, PREFETCH, [decisions.prefetch, decisions.unroll])
    for loop in (step, row):
        sch.unroll(loop)
    sch.vectorize(channel)
    zero = sch.decompose_reduction(acc, tap)
    row, block, channel = sch.get_loops(zero)[-3:]
    sch.unroll(row)
    sch.vectorize(channel)


def _check(workload: ConvWorkload, decisions: Decisions) -> None:
    highest = min(workload.rows, ROW_SLACK - 1)
    if not 0 < decisions.tile_rows <= highest:
        raise ValueError(f"tile_rows is {decisions.tile_rows}, allowed is 1 to {highest}")
    blocks, _, depth, _ = weight_shape(workload, decisions.width)
    for name, number, whole in (
        ("channel_walkers", decisions.channel_walkers, blocks),
        ("unroll", decisions.unroll, depth),
    ):
        if whole % number:
            raise ValueError(f"{name} is {number}, but it has to divide {whole}")
