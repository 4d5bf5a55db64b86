"""What the algorithms of a CPU are expected to take before anything was measured: cycles, and weights to read.

It has to order the algorithms of one convolution, not to foresee times: its constants are those of one x86 server.
"""

from __future__ import annotations

from lascompile.schedules.algorithm import Effort
from lascompile.schedules.cpu import bf16x3_loops as tiles
from lascompile.target import CpuTarget
from lascompile.workload import ConvWorkload, WinogradWorkload, channel_stride

_FMAS_PER_CYCLE = 2

_TILE_STEP_CYCLES = 12 * 16
"""Two by two tiles, three products, sixteen cycles each."""

_TRANSFORM_CYCLES = 1.0
"""For one number of a tile and one step of its transforms, of which there are (m + 2)^3."""

_PACKING_CYCLES = 12
"""To split 32 numbers and store them."""

_FLOAT_BYTES = 4


def direct_effort(workload: ConvWorkload, rows: float, target: CpuTarget) -> Effort:
    """Of a direct convolution of so many `rows`."""
    depth = workload.taps * workload.in_channels // workload.groups
    fmas = rows * depth * channel_stride(workload.out_channels)
    cycles = fmas / (_FMAS_PER_CYCLE * max(1, target.lanes))
    return Effort(cycles, _FLOAT_BYTES * depth * workload.out_channels)


def bf16x3_effort(workload: ConvWorkload, rows: float, target: CpuTarget) -> Effort:
    """Of a convolution of so many `rows` on the tile matrix unit."""
    groups = -(-rows // tiles.GROUP_ROWS)
    depth = tiles.steps(workload)
    products = groups * tiles.channel_blocks(workload) * depth * _TILE_STEP_CYCLES
    packing = groups * tiles.GROUP_ROWS * depth * _PACKING_CYCLES
    weights = workload.taps * workload.in_channels * workload.out_channels
    return Effort(products + packing, _FLOAT_BYTES * weights)


def winograd_effort(workload: WinogradWorkload, tiles: float, target: CpuTarget) -> Effort:
    """Of a Winograd convolution of so many `tiles`."""
    lanes = max(1, target.lanes)
    channels = workload.in_channels * channel_stride(workload.out_channels)
    products = tiles * workload.positions * channels / (_FMAS_PER_CYCLE * lanes)
    side = workload.m + 2
    transforms = tiles * side**3 * (workload.in_channels + workload.out_channels) * _TRANSFORM_CYCLES / lanes
    return Effort(products + transforms, _FLOAT_BYTES * workload.positions * channels)
