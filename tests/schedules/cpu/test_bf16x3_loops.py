"""Weights for the tile unit: how their halves add up, in which order they stand, and what fills the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lascompile.schedules.cpu.bf16x3_loops import (
    BLOCK_CHANNELS,
    STEP,
    TileNest,
    can_cut_depth,
    channel_blocks,
    pack_weight,
    steps,
    weight_shape,
)
from lascompile.schedules.cpu.tile_unit import TILE_ROWS
from lascompile.workload import ConvWorkload, channel_stride

CONV = ConvWorkload(23, 23, 9, 1, 20, 40, gathers=True, counted=True, scatters=False)
PLAIN = TileNest(1, 1, 1)


def halves_of(packed: np.ndarray, nest: TileNest = PLAIN) -> np.ndarray:
    """[high or low, step · product, block · channel] float32, from the order in which a kernel reads them."""
    values = (packed.astype(np.uint32) << 16).view(np.float32)
    panels, depth, halves, tiles, pairs, _ = values.shape
    blocks = panels // nest.channel_walkers // nest.depth_parts
    cut = values.reshape(nest.channel_walkers, nest.depth_parts, blocks, depth, halves, tiles, pairs, TILE_ROWS, 2)
    # half, part, step, pair, which of the pair, walker, block, tile, channel
    ordered = cut.transpose(4, 1, 3, 6, 8, 0, 2, 5, 7)
    return ordered.reshape(halves, nest.depth_parts * depth * STEP, nest.channel_walkers * blocks * BLOCK_CHANNELS)


def products(workload: ConvWorkload, packed: np.ndarray, nest: TileNest = PLAIN) -> tuple[np.ndarray, np.ndarray]:
    """The sum of both halves as [out, in, taps] float64, and everything else that was packed."""
    total = halves_of(packed, nest).astype(np.float64).sum(axis=0)
    stride = channel_stride(workload.in_channels)
    by_tap = total[: workload.taps * stride].reshape(workload.taps, stride, -1)
    inside = by_tap[:, : workload.in_channels, : workload.out_channels]
    rest = total.copy()
    rest[: workload.taps * stride].reshape(by_tap.shape)[:, : workload.in_channels, : workload.out_channels] = 0
    return inside.transpose(2, 1, 0), rest


def random_weight(workload: ConvWorkload) -> np.ndarray:
    """Numbers of very different sizes."""
    side = round(workload.taps**0.5)
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.uniform(-20, 20, (workload.out_channels, workload.in_channels, side, side))
    return (rng.standard_normal(scale.shape) * scale).astype(np.float32)


@pytest.mark.parametrize("taps", [1, 9, 49])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 64), (4, 4), (8, 24), (16, 16), (24, 48), (96, 33)])
def test_both_halves_together_are_the_weight(in_channels: int, out_channels: int, taps: int) -> None:
    workload = replace(CONV, taps=taps, in_channels=in_channels, out_channels=out_channels)
    weight = random_weight(workload)
    packed = pack_weight(weight, workload, PLAIN)
    assert packed.dtype == np.uint16 and packed.shape == weight_shape(workload, PLAIN)
    given = weight.reshape(out_channels, in_channels, taps).astype(np.float64)
    found, rest = products(workload, packed)
    assert (np.abs(found - given) <= 2.0**-16 * np.abs(given)).all()
    assert not rest.any()


@pytest.mark.parametrize("nest", [TileNest(2, 1, 1), TileNest(4, 2, 3), TileNest(1, 1, 1, 3), TileNest(2, 1, 1, 9)])
def test_each_walker_reads_its_weights_in_order(nest: TileNest) -> None:
    workload = replace(CONV, in_channels=32, out_channels=128)
    weight = random_weight(workload)
    packed, plain = (pack_weight(weight, workload, each) for each in (nest, PLAIN))
    assert packed.shape == weight_shape(workload, nest)
    np.testing.assert_array_equal(halves_of(packed, nest), halves_of(plain))


@pytest.mark.parametrize(
    ("taps", "in_channels", "parts"),
    [
        (9, 32, (1, 3, 9)),
        (9, 64, (1, 3, 9)),
        (1, 256, (1, 2, 4, 8)),
        (1, 60, (1, 2)),
        (9, 16, (1,)),
        (9, 48, (1,)),
        (49, 3, (1,)),
    ],
)
def test_a_sum_is_cut_at_whole_steps(taps: int, in_channels: int, parts: tuple[int, ...]) -> None:
    workload = replace(CONV, taps=taps, in_channels=in_channels)
    assert tuple(n for n in range(1, 10) if can_cut_depth(workload, n)) == parts


def test_a_weight_that_is_nan_stays_nan() -> None:
    weight = np.zeros((40, 20, 3, 3), np.float32)
    weight[7, 5, 1, 2] = np.nan
    found, rest = products(CONV, pack_weight(weight, CONV, PLAIN))
    assert np.argwhere(np.isnan(found)).tolist() == [[7, 5, 5]] and not rest.any()


@pytest.mark.parametrize(
    ("in_channels", "taps", "out_channels", "depth", "blocks"),
    [(3, 49, 64, 7, 2), (3, 1, 3, 1, 1), (8, 9, 24, 3, 1), (16, 9, 48, 5, 2), (24, 1, 96, 1, 3), (64, 9, 64, 18, 2)],
)
def test_steps_and_blocks_are_rounded_up(
    in_channels: int, taps: int, out_channels: int, depth: int, blocks: int
) -> None:
    workload = replace(CONV, in_channels=in_channels, taps=taps, out_channels=out_channels)
    assert (steps(workload), channel_blocks(workload)) == (depth, blocks)
    assert weight_shape(workload, PLAIN) == (blocks, depth, 2, 2, 16, 32)
