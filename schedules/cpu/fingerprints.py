"""The definitions of a CPU's algorithms in the variants that fingerprints are made of; see `Algorithm.variants`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tvm import tirx

from lascompile.kernels.row_conv import define_row_conv
from lascompile.schedules.cpu import winograd_weights
from lascompile.schedules.cpu.bf16x3_loops import TileNest, can_cut_depth, define_bf16x3_conv, steps
from lascompile.schedules.cpu.winograd_loops import define_winograd
from lascompile.workload import ConvWorkload, WinogradWorkload

WINOGRAD_NEST = winograd_weights.WinogradNest(
    lanes=4,
    width=4,
    tile_heights=(1,),
    unroll=1,
    channel_walkers=1,
    tile_walkers=1,
    held_tiles=1,
    transform_weights=False,
    depth_parts=1,
    prefetch=False,
)
"""The plainest one, which every workload can have."""


def direct_variants(workload: ConvWorkload) -> Iterator[tirx.PrimFunc]:
    """There is one."""
    yield define_row_conv(workload, width=1)


def bf16x3_variants(workload: ConvWorkload) -> Iterator[tirx.PrimFunc]:
    """The sums as a whole and in parts."""
    yield define_bf16x3_conv(workload, TileNest(1, 1, 1))
    parts = next((parts for parts in range(2, steps(workload) + 1) if can_cut_depth(workload, parts)), None)
    if parts is not None:
        yield define_bf16x3_conv(workload, TileNest(1, 1, 1, parts))


def winograd_variants(workload: WinogradWorkload) -> Iterator[tirx.PrimFunc]:
    """Weights packed transformed, the plain way and with everything; and transformed while the kernel runs."""
    yield define_winograd(workload, WINOGRAD_NEST)
    parts = next((parts for parts in range(2, workload.in_channels + 1) if workload.in_channels % parts == 0), 1)
    everything = replace(WINOGRAD_NEST, tile_heights=(2, 1), held_tiles=2, depth_parts=parts, prefetch=True)
    yield define_winograd(workload, everything)
    yield define_winograd(workload, replace(everything, transform_weights=True))
