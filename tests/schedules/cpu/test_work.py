"""Counts by hand of what kernels have to do."""

import pytest

from lascompile.schedules.cpu.bf16x3_conv import TileDecisions
from lascompile.schedules.cpu.row_conv import Decisions
from lascompile.schedules.cpu.winograd import WinogradDecisions
from lascompile.schedules.cpu.work import bf16x3_work, computed_tiles, row_conv_work, winograd_work
from lascompile.schedules.work import Engine
from lascompile.workload import ConvWorkload, Epilogue, WinogradWorkload

ENGINE = Engine(lanes=16, registers=32, own_bytes=1 << 20)
CONV = ConvWorkload(
    rows=100, input_rows=100, taps=9, groups=1, in_channels=16, out_channels=32, gathers=True, counted=True,
    scatters=True, epilogue=Epilogue(add=True),
)  # fmt: skip
BY_CHANNEL = Decisions(tile_rows=4, width=16, unroll=4, channel_walkers=2, row_walkers=1, rows_inside=True)
WINOGRAD = WinogradWorkload(
    m=2, tiles=50, input_rows=200, output_rows=200, in_channels=16, out_channels=32, counted=True
)
NEST = WinogradDecisions(
    lanes=16, width=16, tile_heights=(4, 2), unroll=4, channel_walkers=1, tile_walkers=2, held_tiles=8,
    transform_weights=False, depth_parts=1, prefetch=True,
)  # fmt: skip


def test_a_convolution_computes_whole_tiles_of_its_own_channels() -> None:
    work = row_conv_work(CONV, BY_CHANNEL, 10, ENGINE)
    steps = 3 * 1 * 9 * 16  # tiles, blocks of this engine, taps, channels
    assert work.engines == 2
    assert work.tiles == 3
    assert work.fmas == steps * 4
    assert work.loads == steps * (4 + 1)
    assert work.stalls == 0
    assert work.weight_bytes == 4 * 9 * 16 * 16
    assert work.read_bytes == 4 * 10 * 16
    assert work.written_bytes == 4 * 10 * 32 * 2 / 2  # read and written, on two engines


def test_few_sums_leave_latency_bare() -> None:
    low = Decisions(tile_rows=1, width=16, unroll=4, channel_walkers=1, row_walkers=1, rows_inside=False)
    work = row_conv_work(CONV, low, 10, ENGINE)
    assert work.stalls == 10 * 2 * 9 * 16 * (4 - 1)


def test_weights_that_do_not_fit_are_read_for_each_tile_again() -> None:
    rows_held = Decisions(tile_rows=4, width=16, unroll=4, channel_walkers=1, row_walkers=1, rows_inside=False)
    small = Engine(lanes=16, registers=32, own_bytes=1024)
    assert row_conv_work(CONV, rows_held, 10, ENGINE).reread_bytes == 0
    assert row_conv_work(CONV, rows_held, 10, small).reread_bytes == 2 * 4 * 9 * 16 * 32


@pytest.mark.parametrize(("tiles", "computed"), [(0, 0), (1, 2), (2, 2), (3, 4), (4, 4), (5, 6), (9, 10)])
def test_the_last_register_tile_is_the_lowest_that_holds_the_rest(tiles: int, computed: int) -> None:
    assert computed_tiles(tiles, (4, 2)) == computed


def test_winograd_cuts_its_tiles_into_equal_chunks() -> None:
    work = winograd_work(WINOGRAD, NEST, 20, ENGINE)
    # Ten tiles for each of two engines, in chunks of five, computed as 4 + 2; 16 positions, 2 blocks.
    assert work.fmas == 2 * 6 * 16 * 16 * 2
    assert work.tiles == 2 * 2 * 16 * 2
    assert work.transforms == 10 * 16 * 1 + 10 * 16 * 2
    assert work.weight_bytes == 2 * 4 * 16 * 16 * 32
    assert work.spills == 0


def test_what_fits_into_no_register_is_spilled() -> None:
    few = Engine(lanes=16, registers=8, own_bytes=1 << 20)
    work = winograd_work(WINOGRAD, NEST, 20, few)
    assert work.spills == (4 + 4 + 1 - 8) * 4 * 16 * 16 * 2


def test_the_tile_unit_multiplies_groups_of_32_rows_three_times() -> None:
    decisions = TileDecisions(channel_walkers=1, row_walkers=1, packed_groups=1)
    work = bf16x3_work(CONV, decisions, 60, ENGINE)
    steps = 5  # 9 taps of 16 channels, in steps of 32
    assert work.unit_fmas == 3 * (2 * 32) * 32 * (steps * 32)
    assert work.weight_bytes == 2 * 2 * steps * 32 * 32
    assert work.transforms == 60 * steps * 32 / 16 + 60 * 32 / 16
    # The second of two groups has 4 rows: one tile of 16 instead of two.
    assert bf16x3_work(CONV, decisions, 36, ENGINE).unit_fmas == 3 * (1.5 * 32) * 32 * (steps * 32)


def test_nothing_active_is_nothing_to_do() -> None:
    for work in (row_conv_work(CONV, BY_CHANNEL, 0, ENGINE), winograd_work(WINOGRAD, NEST, 0, ENGINE)):
        assert (work.fmas, work.loads, work.tiles, work.transforms, work.written_bytes) == (0, 0, 0, 0, 0)
