"""Schedule of Winograd convolutions on a CPU: register tiles, what stays in cache, and who does what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from lascompile.schedules.cpu import winograd_weights
from lascompile.schedules.cpu.caches import of_second_level
from lascompile.schedules.cpu.winograd_loops import define_winograd
from lascompile.schedules.cpu.winograd_weights import WinogradNest, channel_blocks
from lascompile.target import CpuTarget
from lascompile.workload import NOMINAL_RATE, WinogradWorkload, channel_stride

_MOST_ROWS = 14
"""Tiles of a register tile at most."""

_HELD_BYTES = of_second_level(1 / 2)
"""What V and M of a chunk may take of the second-level cache, where all weights stay there as well."""

_STREAMED_BYTES = of_second_level(4)
"""What they may take where weights come from memory, for each chunk again: it is those that have to be read once."""

_UNROLLED_FMAS = 128
"""Multiply-adds in the unrolled body of a register tile."""

_PANEL_BYTES = of_second_level(5 / 32)
"""What two panels of weights may take of it (measured: 256 KiB were better than 512)."""

_KEPT_WEIGHT_BYTES = of_second_level(5 / 16)
"""Transformed weights that stay in it from chunk to chunk."""

_TILES_THAT_AMORTIZE = 64
"""So many tiles of a walker take longer to multiply than memory takes to deliver transformed weights (measured)."""


@dataclass(frozen=True)
class WinogradDecisions(WinogradNest):
    """The choices of one schedule; see `WinogradNest`."""


def default_decisions(workload: WinogradWorkload, target: CpuTarget, threads: int) -> WinogradDecisions:
    """Decisions that are good before anything was measured.

    Where there are more weights than inputs, cores share out the weights, so that they come from memory once; else
    the tiles.
    """
    out_stride = channel_stride(workload.out_channels)
    width = next(w for w in (2 * target.lanes, target.lanes, 16, 8, 4) if out_stride % w == 0)
    vectors = -(-width // target.lanes)
    highest = min((target.vector_registers - vectors - 1) // vectors, _MOST_ROWS)
    weights = workload.positions * workload.in_channels * out_stride
    inputs = workload.tiles * workload.positions * channel_stride(workload.in_channels)
    by_channel = weights > inputs
    channel_walkers = _largest_divisor(out_stride // width, threads) if by_channel else 1
    tile_walkers = max(1, threads // channel_walkers)
    tiles = -(-workload.tiles // tile_walkers)
    expected = tiles * NOMINAL_RATE if workload.counted else tiles
    transforms = expected < _TILES_THAT_AMORTIZE and 4 * weights // channel_walkers > _KEPT_WEIGHT_BYTES
    parts = _depth_parts(workload, width) if transforms else 1
    bytes_each = 4 * workload.positions * (channel_stride(workload.in_channels) + width)
    held = min(tiles, max(1, (_STREAMED_BYTES if by_channel else _HELD_BYTES) // bytes_each))
    heights = _tile_heights(workload, highest, held)
    return WinogradDecisions(
        lanes=target.lanes,
        width=width,
        tile_heights=heights,
        unroll=_largest_divisor(workload.in_channels // parts, max(1, _UNROLLED_FMAS // (highest * vectors))),
        channel_walkers=channel_walkers,
        tile_walkers=tile_walkers,
        held_tiles=-(-held // heights[0]) * heights[0],
        transform_weights=transforms,
        depth_parts=parts,
        prefetch=True,
    )


def _tile_heights(workload: WinogradWorkload, highest: int, held: int) -> tuple[int, ...]:
    """A dense kernel knows its tiles and cuts them evenly; a dynamic one has heights for what is left."""
    if not workload.counted:
        return (-(-held // -(-held // highest)),)
    return tuple(sorted({highest, highest * 3 // 4, highest // 2, highest // 4} - {0}, reverse=True))


def _depth_parts(workload: WinogradWorkload, width: int) -> int:
    """The fewest parts of which two panels fit into the cache."""
    bytes_each = 2 * 4 * workload.positions * width
    channels = workload.in_channels
    return next(p for p in range(1, channels + 1) if channels % p == 0 and bytes_each * channels // p <= _PANEL_BYTES)


def _largest_divisor(number: int, most: int) -> int:
    return next(d for d in range(min(number, most), 0, -1) if number % d == 0)


def schedule_winograd(workload: WinogradWorkload, decisions: WinogradDecisions) -> tirx.PrimFunc:
    """The kernel of `workload`, scheduled by `decisions`; it runs over `count` tiles where there is a count.

    Raises:
        ValueError: A number does not divide what it cuts, or the heights do not descend.
    """
    check_decisions(workload, decisions)
    return define_winograd(workload, decisions)


def pack_weight(weight: np.ndarray, workload: WinogradWorkload, decisions: WinogradDecisions) -> np.ndarray:
    """Weights [out, in, 3, 3] as the kernel of `workload` and `decisions` takes them."""
    return winograd_weights.pack_weight(weight, workload, decisions)


def check_decisions(workload: WinogradWorkload, decisions: WinogradDecisions) -> None:
    """Raise ValueError if `workload` cannot be scheduled by `decisions`."""
    heights = decisions.tile_heights
    if list(heights) != sorted(set(heights), reverse=True) or not heights or heights[-1] < 1:
        raise ValueError(f"tile_heights is {heights}, but they have to descend and to be at least 1")
    width, lanes = decisions.width, decisions.lanes
    for name, number, whole in (
        ("width", width, channel_stride(workload.out_channels)),
        ("lanes", min(lanes, width), width),
        ("lanes", min(lanes, channel_stride(workload.in_channels)), channel_stride(workload.in_channels)),
        ("channel_walkers", decisions.channel_walkers, channel_blocks(workload, width)),
        ("depth_parts", decisions.depth_parts, workload.in_channels),
        ("unroll", decisions.unroll, workload.in_channels // decisions.depth_parts),
        ("the highest of tile_heights", heights[0], decisions.held_tiles),
    ):
        if whole % number:
            raise ValueError(f"{name} is {number}, but it has to divide {whole}")
