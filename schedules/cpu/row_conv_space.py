"""The schedule space of convolutions over rows on a CPU, and what a cost model is told of a point in it."""

from __future__ import annotations

from math import ceil

from lascompile.kernels.row_conv import channel_blocks, weight_shape
from lascompile.schedules.cpu.row_conv import Decisions, block_widths, default_decisions
from lascompile.schedules.space import Space
from lascompile.target import CpuTarget
from lascompile.workload import ROW_SLACK, ConvWorkload, channel_stride

_MOST_VECTORS = 4
"""Vectors along the channels of a register tile, at most."""

_TILE_ROWS = (*range(1, 17), 18, 20, 22, 24, 26, 28)
_MOST_STEPS = 64
_MOST_UNROLLED_FMAS = 1024
"""Above, LLVM takes many seconds, and the body leaves the decoder's cache."""

_PREFETCH_LINES = (0, 1, 2, 4, 8)
_LINE_FLOATS = 16


def row_conv_space(workload: ConvWorkload, target: CpuTarget, threads: int) -> Space:
    """What may be decided for `workload`."""
    default = default_decisions(workload, target, threads)
    depth = weight_shape(workload, default.width)[2]
    divisors = [n for n in range(1, threads + 1) if threads % n == 0]
    values = {
        "tile_rows": [rows for rows in _TILE_ROWS if rows <= min(workload.rows, ROW_SLACK - 1)],
        "width": [w for w in block_widths(workload, target.lanes) if w % target.lanes == 0],
        "unroll": [steps for steps in range(1, min(depth, _MOST_STEPS) + 1) if depth % steps == 0],
        "channel_walkers": divisors,
        "row_walkers": divisors,
        "rows_inside": [False, True],
        "prefetch": _PREFETCH_LINES,
    }

    def allows(decisions: Decisions) -> bool:
        vectors = ceil(decisions.width / target.lanes)
        walkers = decisions.channel_walkers * decisions.row_walkers
        return (
            vectors <= _MOST_VECTORS
            # Sums, one vector of weights, and what is read: a little more than fits may be spilled at no loss.
            and decisions.tile_rows * vectors <= target.vector_registers
            and decisions.tile_rows * vectors * decisions.unroll <= _MOST_UNROLLED_FMAS
            and channel_blocks(workload, decisions.width) % decisions.channel_walkers == 0
            # All threads, or one: a barrier costs more than the smallest kernels.
            and walkers in (1, threads)
            and decisions.prefetch * _LINE_FLOATS <= decisions.unroll * decisions.width
        )

    return Space.around(default, values, allows)


def row_conv_features(workload: ConvWorkload, decisions: Decisions, target: CpuTarget, rate: float) -> list[float]:
    """Numbers that tell points of the space apart by what they cost; the same quantities for every workload.

    Args:
        workload: The kernel.
        decisions: The point.
        target: What it is compiled for.
        rate: Share of the rows that are active.
    """
    blocks, taps, depth, width = weight_shape(workload, decisions.width)
    vectors = ceil(width / target.lanes)
    active = workload.rows * (rate if workload.counted else 1.0)
    tiles = max(1, ceil(active / decisions.tile_rows))
    walkers = decisions.channel_walkers * decisions.row_walkers
    row_share = ceil(tiles / decisions.row_walkers) * decisions.row_walkers * decisions.tile_rows / max(1.0, active)
    block_bytes = 4 * taps * depth * width
    row_bytes = 4 * taps * channel_stride(workload.in_channels) * decisions.tile_rows
    asked = decisions.prefetch * _LINE_FLOATS * tiles / (decisions.unroll * width)
    return [
        decisions.tile_rows,
        vectors,
        decisions.tile_rows * vectors / target.vector_registers,
        1 / decisions.tile_rows + 1 / vectors,
        decisions.unroll,
        decisions.unroll * decisions.tile_rows * vectors,
        decisions.channel_walkers,
        decisions.row_walkers,
        walkers,
        float(decisions.rows_inside),
        decisions.prefetch,
        min(asked, 4.0),
        row_share,
        tiles / decisions.row_walkers,
        blocks / decisions.channel_walkers,
        block_bytes / 1024,
        row_bytes / 1024,
        taps,
        depth,
        active,
        float(workload.counted),
        workload.epilogue.takes_residual + 2.0 * workload.scatters + 4.0 * workload.in_place,
    ]
