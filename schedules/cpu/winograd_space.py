"""The schedule space of Winograd convolutions on a CPU, and what a cost model is told of a point in it."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from lascompile.schedules.cpu.caches import of_second_level
from lascompile.schedules.cpu.winograd import WinogradDecisions, default_decisions
from lascompile.schedules.cpu.winograd_weights import channel_blocks, weight_shape
from lascompile.schedules.space import Space
from lascompile.target import CpuTarget
from lascompile.workload import WinogradWorkload, channel_stride

_HEIGHTS = (1, 2, 3, 4, 6, 7, 8, 12, 14, 16, 24, 28)
_MOST_VECTORS = 4
"""Vectors along the channels of a register tile, at most."""

_MOST_STEPS = 64
_MOST_UNROLLED_FMAS = 1024
"""In the register tiles of all heights; above, LLVM takes many seconds, and the code leaves the decoder's cache."""

_MOST_DEPTH_PARTS = 16
_FEWEST_HELD = 8
_MOST_CHUNK_BYTES = of_second_level(8)
_MOST_PANEL_BYTES = of_second_level(1)


def winograd_space(workload: WinogradWorkload, target: CpuTarget, threads: int) -> Space:
    """What may be decided for `workload`."""
    default = default_decisions(workload, target, threads)
    depth, stride, lanes = workload.in_channels, channel_stride(workload.out_channels), target.lanes
    divisors = [n for n in range(1, threads + 1) if threads % n == 0]
    highest = [height for height in {*_HEIGHTS, default.tile_heights[0]} if height <= workload.tiles]
    values: dict[str, Iterable[object]] = {
        "width": [w for w in range(lanes, _MOST_VECTORS * lanes + 1, lanes) if stride % w == 0],
        "tile_heights": [heights for height in highest for heights in ((height,), _ladder(height))],
        "unroll": [steps for steps in range(1, min(depth, _MOST_STEPS) + 1) if depth % steps == 0],
        "channel_walkers": divisors,
        "tile_walkers": divisors,
        "held_tiles": _chunks(workload, default.tile_heights[0]),
        "transform_weights": [False, True],
        "depth_parts": [parts for parts in range(1, min(depth, _MOST_DEPTH_PARTS) + 1) if depth % parts == 0],
        "prefetch": [False, True],
    }

    def allows(decisions: WinogradDecisions) -> bool:
        vectors, heights = ceil(decisions.width / lanes), decisions.tile_heights
        return (
            # Sums, one vector of weights, and what is read: a little more than fits may be spilled at no loss.
            heights[0] * vectors <= target.vector_registers
            and sum(heights) * vectors * decisions.unroll <= _MOST_UNROLLED_FMAS
            and depth % (decisions.depth_parts * decisions.unroll) == 0
            and channel_blocks(workload, decisions.width) % decisions.channel_walkers == 0
            # All threads, or one: a barrier costs more than the smallest kernels.
            and decisions.channel_walkers * decisions.tile_walkers in (1, threads)
            and decisions.held_tiles % heights[0] == 0
            # One size that holds all tiles of a walker is enough.
            and decisions.held_tiles < 2 * max(_tiles_each(workload, decisions), heights[0])
            and _chunk_bytes(workload, decisions) <= _MOST_CHUNK_BYTES
            and _panel_bytes(workload, decisions) <= _MOST_PANEL_BYTES
        )

    return Space.around(default, values, allows)


def winograd_features(
    workload: WinogradWorkload, decisions: WinogradDecisions, target: CpuTarget, rate: float
) -> list[float]:
    """Numbers that tell points of the space apart by what they cost; as `row_conv_features`."""
    highest, vectors = decisions.tile_heights[0], ceil(decisions.width / target.lanes)
    active = workload.tiles * (rate if workload.counted else 1.0)
    each = max(1, ceil(active / decisions.tile_walkers))
    chunks = ceil(each / decisions.held_tiles)
    share = ceil(each / chunks)
    units, unit_floats = weight_shape(workload, decisions)
    return [
        highest,
        len(decisions.tile_heights),
        vectors,
        highest * vectors / target.vector_registers,
        1 / highest + 1 / vectors,
        decisions.unroll,
        decisions.unroll * sum(decisions.tile_heights) * vectors,
        decisions.channel_walkers,
        decisions.tile_walkers,
        decisions.channel_walkers * decisions.tile_walkers,
        decisions.held_tiles,
        float(decisions.transform_weights),
        decisions.depth_parts,
        float(decisions.prefetch),
        chunks,
        share,
        _computed(share, decisions.tile_heights) / share,
        _chunk_bytes(workload, decisions) / 1024,
        _panel_bytes(workload, decisions) / 1024,
        4 * unit_floats / 1024,
        4 * unit_floats * units * chunks / decisions.channel_walkers / 1024,
        units / decisions.channel_walkers,
        workload.in_channels / decisions.depth_parts,
        workload.in_channels,
        active,
        float(workload.counted),
        workload.epilogue.takes_residual + 4.0 * workload.in_place,
    ]


def _ladder(highest: int) -> tuple[int, ...]:
    """Heights for what is left at the end of a chunk."""
    return tuple(sorted({highest, highest * 3 // 4, highest // 2, highest // 4} - {0}, reverse=True))


def _chunks(workload: WinogradWorkload, height: int) -> list[int]:
    """Sizes of chunks, few and with many divisors: each height divides some of them."""
    most, fewest = 2 * workload.tiles, min(_FEWEST_HELD, workload.tiles)
    sizes = {factor << shift for factor in (1, 3, 7, height) for shift in range(most.bit_length())}
    return [size for size in sizes if fewest <= size < most]


def _tiles_each(workload: WinogradWorkload, decisions: WinogradDecisions) -> int:
    """Tiles of a walker if all are active."""
    return -(-workload.tiles // decisions.tile_walkers)


def _computed(tiles: int, heights: tuple[int, ...]) -> int:
    """Tiles that a chunk of `tiles` computes: the last register tile is the lowest that holds what is left."""
    whole, left = divmod(tiles, heights[0])
    return whole * heights[0] + min((height for height in heights if height >= left > 0), default=0)


def _chunk_bytes(workload: WinogradWorkload, decisions: WinogradDecisions) -> int:
    """Transformed inputs, and sums."""
    return 4 * decisions.held_tiles * workload.positions * (channel_stride(workload.in_channels) + decisions.width)


def _panel_bytes(workload: WinogradWorkload, decisions: WinogradDecisions) -> int:
    """Two panels of weights that are transformed while the kernel runs."""
    if not decisions.transform_weights:
        return 0
    return 2 * 4 * workload.in_channels // decisions.depth_parts * workload.positions * decisions.width
