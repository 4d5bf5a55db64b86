"""Schedule of convolutions on the tile matrix unit: which rows and channels each core takes, and in what order."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tvm import tirx

from lascompile.schedules.cpu.bf16x3_loops import (
    GROUP_ROWS,
    STEP,
    TileNest,
    can_cut_depth,
    channel_blocks,
    define_bf16x3_conv,
    steps,
)
from lascompile.schedules.cpu.caches import of_second_level
from lascompile.schedules.cpu.vectors import LINE_BYTES
from lascompile.schedules.weight_stream import OWN_WEIGHTS, Stream, Upcoming
from lascompile.target import CpuTarget
from lascompile.workload import ConvWorkload

_PACKED_BYTES = of_second_level(1 / 4)
"""Packed rows at a time, at most: they and a block of weights should stay in the second-level cache."""

_MOST_WEIGHT_BYTES = of_second_level(625 / 512)
"""Weights that each core reads all of, at most, while rows are dealt out. To fetch them twice costs less than to fetch
the rows that another core has written."""

_MOST_GROUPS = 16
_MOST_DEPTH_PARTS = 9

_MOST_ASKED_BYTES = of_second_level(1 / 4)
"""Weights that one core asks for ahead of the kernel that takes them, at most: a share of the second-level cache that
the running kernel can spare."""

_FEW_WEIGHT_BYTES = of_second_level(1 / 8)
"""Weights that stay in the cache anyway, whatever passes between two row groups."""


@dataclass(frozen=True)
class TileDecisions:
    """The choices of one schedule; see `TileNest`."""

    channel_walkers: int
    row_walkers: int
    packed_groups: int
    depth_parts: int = 1

    @property
    def nest(self) -> TileNest:
        """The loops."""
        return TileNest(self.channel_walkers, self.row_walkers, self.packed_groups, self.depth_parts)


def default_decisions(workload: ConvWorkload, target: CpuTarget, threads: int) -> TileDecisions:
    """Rows are dealt out if there are enough of them for the weights, else channels.

    In the first case a core finds the rows that it wrote itself, in the second it reads its own share of the weights
    only. Where weights do not stay in the cache, several row groups are packed before they are multiplied by each.
    """
    blocks, weight_bytes = channel_blocks(workload), steps(workload) * channel_blocks(workload) * STEP * STEP * 4
    groups = -(-workload.rows // GROUP_ROWS)
    by_channel = (weight_bytes > _MOST_WEIGHT_BYTES or groups < 2 * threads) and blocks % threads == 0
    channel_walkers = threads if by_channel else 1
    row_walkers = threads // channel_walkers
    if weight_bytes <= _FEW_WEIGHT_BYTES:
        return TileDecisions(channel_walkers, row_walkers, 1)
    packed, parts = _packing(workload, min(-(-groups // row_walkers), _MOST_GROUPS))
    return TileDecisions(channel_walkers, row_walkers, packed, parts)


def _packing(workload: ConvWorkload, groups: int) -> tuple[int, int]:
    """How many of `groups` row groups to pack at a time, and in how many depth parts: all, in as few as fit."""
    step_bytes = GROUP_ROWS * STEP * 4
    possible = [parts for parts in range(1, _MOST_DEPTH_PARTS + 1) if can_cut_depth(workload, parts)]
    for parts in possible:
        if groups * (steps(workload) // parts) * step_bytes <= _PACKED_BYTES:
            return groups, parts
    part_bytes = steps(workload) // possible[-1] * step_bytes
    return max(1, min(groups, _PACKED_BYTES // part_bytes)), possible[-1]


def schedule_bf16x3_conv(
    workload: ConvWorkload,
    decisions: TileDecisions,
    stream: Stream = OWN_WEIGHTS,
) -> tirx.PrimFunc:
    """The kernel of `workload`, scheduled by `decisions`, which prefetches weights as `stream` says.

    Raises:
        ValueError: The channel walkers do not divide the channel blocks, or the depth parts the depth.
    """
    blocks = channel_blocks(workload)
    if blocks % decisions.channel_walkers:
        raise ValueError(f"channel_walkers is {decisions.channel_walkers}, but it has to divide {blocks}")
    if not can_cut_depth(workload, decisions.depth_parts):
        raise ValueError(f"depth_parts is {decisions.depth_parts}, but has to divide the taps, or a single tap's steps")
    return define_bf16x3_conv(workload, decisions.nest, stream)


def upcoming_weights(decisions: TileDecisions, shape: tuple[int, ...]) -> Upcoming:
    """What the kernel before may ask for: of each walker's part of the weights, as much as the cache can hold."""
    share = prod(shape) * 2 // decisions.channel_walkers
    return Upcoming(shape, decisions.channel_walkers, min(share, _MOST_ASKED_BYTES) // LINE_BYTES)
