"""What the kernels of a CPU have to do for a number of active rows or tiles, by their decisions."""

from __future__ import annotations

from math import ceil

from lascompile.kernels.row_conv import weight_shape as row_weight_shape
from lascompile.schedules.cpu import bf16x3_loops as tile_unit
from lascompile.schedules.cpu.bf16x3_conv import TileDecisions
from lascompile.schedules.cpu.row_conv import Decisions
from lascompile.schedules.cpu.winograd import WinogradDecisions
from lascompile.schedules.cpu.winograd_weights import channel_blocks as winograd_blocks
from lascompile.schedules.work import Engine, Work
from lascompile.workload import ConvWorkload, WinogradWorkload, channel_stride

_FLOAT, _BFLOAT16 = 4, 2
_PRODUCTS = 3
"""Of the parts of two numbers that are taken apart."""

_FMA_LATENCY = 4
"""Cycles until a sum can be added to again, on all x86 CPUs since Skylake and on Zen."""


def row_conv_work(workload: ConvWorkload, decisions: Decisions, count: float, engine: Engine) -> Work:
    """Of a convolution over `count` active rows; see `schedules.cpu.row_conv`.

    Args:
        workload: The kernel.
        decisions: Its schedule's.
        count: Active rows.
        engine: What runs it.
    """
    blocks, taps, depth, width = row_weight_shape(workload, decisions.width)
    vectors, height = max(1, ceil(width / engine.lanes)), decisions.tile_rows
    tiles = ceil(ceil(count / height) / decisions.row_walkers)
    own_blocks = ceil(blocks / decisions.channel_walkers)
    steps = tiles * own_blocks * taps * depth
    weights = _FLOAT * taps * depth * width * own_blocks
    rows = _FLOAT * count * channel_stride(workload.in_channels) / decisions.row_walkers
    engines = decisions.row_walkers * decisions.channel_walkers
    passes = _passes(workload)
    if decisions.rows_inside:
        reread = (own_blocks - 1) * rows * workload.taps if rows > engine.own_bytes else 0.0
    else:
        reread = max(0, tiles - 1) * weights if weights > engine.own_bytes else 0.0
    return Work(
        engines=engines,
        fmas=steps * height * vectors,
        loads=steps * (height + vectors),
        stalls=steps * max(0.0, _FMA_LATENCY - height * vectors),
        tiles=tiles * own_blocks,
        weight_bytes=weights,
        reread_bytes=reread,
        read_bytes=rows,
        written_bytes=_FLOAT * count * channel_stride(workload.out_channels) * passes / engines,
    )


def winograd_work(workload: WinogradWorkload, decisions: WinogradDecisions, count: float, engine: Engine) -> Work:
    """Of a Winograd convolution over `count` active tiles; see `schedules.cpu.winograd`."""
    positions, depth = workload.positions, workload.in_channels
    vectors = max(1, decisions.width // engine.lanes)
    blocks = winograd_blocks(workload, decisions.width) // decisions.channel_walkers
    each = ceil(count / decisions.tile_walkers)
    chunks = ceil(each / decisions.held_tiles)
    size = ceil(each / max(1, chunks))
    held = [min(size, each - chunk * size) for chunk in range(chunks)]
    computed = sum(computed_tiles(tiles, decisions.tile_heights) for tiles in held)
    groups = sum(ceil(tiles / decisions.tile_heights[0]) for tiles in held)
    stored = 9 if decisions.transform_weights else positions
    weights = _FLOAT * stored * depth * decisions.width * blocks
    inputs = each * positions * ceil(channel_stride(depth) / engine.lanes)
    outputs = each * positions * blocks * vectors
    transformed = positions * depth * blocks * vectors * chunks if decisions.transform_weights else 0
    chunk_bytes = _FLOAT * size * positions * (channel_stride(depth) + decisions.width)
    engines = decisions.channel_walkers * decisions.tile_walkers
    # Sums, and the weights and factors of a step, which are all loaded before the first product.
    height = decisions.tile_heights[0]
    spilled = max(0, height * vectors + height + vectors - engine.registers)
    outside = count * workload.m**2
    read_again = _FLOAT * each * positions * channel_stride(depth) * blocks
    return Work(
        engines=engines,
        fmas=computed * positions * depth * blocks * vectors,
        loads=(computed + groups * vectors) * positions * depth * blocks,
        stalls=0.0,
        spills=spilled * groups * positions * depth * blocks,
        tiles=groups * positions * blocks * decisions.depth_parts,
        transforms=inputs + outputs + transformed,
        weight_bytes=weights * max(1, chunks),
        reread_bytes=read_again if chunk_bytes > engine.own_bytes else 0.0,
        read_bytes=_FLOAT * outside * channel_stride(depth) / decisions.tile_walkers,
        written_bytes=_FLOAT * outside * channel_stride(workload.out_channels) * _passes(workload) / engines,
    )


def bf16x3_work(workload: ConvWorkload, decisions: TileDecisions, count: float, engine: Engine) -> Work:
    """Of a convolution over `count` active rows on the tile unit; see `schedules.cpu.bf16x3_conv`."""
    height, width = tile_unit.GROUP_ROWS, tile_unit.BLOCK_CHANNELS
    groups = ceil(ceil(count / height) / decisions.row_walkers)
    # A group with no more rows than one tile multiplies half as many.
    rest = count - (ceil(count / height) - 1) * height
    halves = groups if decisions.row_walkers > 1 or not 0 < rest <= height / 2 else groups - 0.5
    blocks = ceil(tile_unit.channel_blocks(workload) / decisions.channel_walkers)
    depth = tile_unit.steps(workload)
    chunks = ceil(groups / decisions.packed_groups)
    weights = 2 * _BFLOAT16 * depth * tile_unit.STEP * width * blocks
    engines = decisions.row_walkers * decisions.channel_walkers
    rows = count / decisions.row_walkers
    return Work(
        engines=engines,
        fmas=0.0,
        loads=0.0,
        stalls=0.0,
        tiles=groups * blocks * decisions.depth_parts,
        transforms=rows * depth * tile_unit.STEP / engine.lanes + rows * blocks * width / engine.lanes,
        unit_fmas=_PRODUCTS * halves * height * blocks * width * depth * tile_unit.STEP,
        weight_bytes=weights,
        reread_bytes=max(0, chunks - 1) * weights if weights > engine.own_bytes else 0.0,
        read_bytes=_FLOAT * rows * channel_stride(workload.in_channels),
        written_bytes=_FLOAT * count * channel_stride(workload.out_channels) * _passes(workload) / engines,
    )


def computed_tiles(tiles: int, heights: tuple[int, ...]) -> int:
    """Tiles that a chunk of `tiles` computes: the last register tile is the lowest of `heights` that holds the rest."""
    whole, left = divmod(tiles, heights[0])
    return whole * heights[0] + min((height for height in heights if height >= left > 0), default=0)


def _passes(workload: ConvWorkload | WinogradWorkload) -> int:
    """How often each number of the output crosses the engine's border: written, and read where it is added to."""
    return 2 if workload.epilogue.takes_residual else 1

