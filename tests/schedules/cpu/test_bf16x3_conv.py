"""Convolutions on the tile unit (AMX), as `build` compiles them: results, what is left alone, NaN, prefetches."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from lascompile.schedules.cpu.bf16x3_conv import TileDecisions, default_decisions, schedule_bf16x3_conv
from lascompile.schedules.cpu.bf16x3_loops import GROUP_ROWS, STEP, can_cut_depth, channel_blocks, steps, weight_shape
from lascompile.schedules.weight_stream import Stream, Upcoming
from lascompile.workload import ConvWorkload, Epilogue
from tests.kernels.calling import assert_same_bits, compiled, target_of
from tests.schedules.cpu.conv_problems import Problem, check, conv_kernel, problem
from tests.schedules.cpu.test_row_conv import ADD, GATES, RELU, SIZES
from tests.tile_unit import needs_tiles

ROWS = 70
ONE, TWO = TileDecisions(1, 1, 1), TileDecisions(1, 2, 2)
SAPPHIRE_RAPIDS = "llvm -mcpu=sapphirerapids"

DENSE = ConvWorkload(ROWS, ROWS, 1, 1, 32, 48, gathers=False, counted=False, scatters=False)
WINDOW = ConvWorkload(ROWS, 90, 9, 1, 16, 48, gathers=True, counted=True, scatters=False)
SCATTER = ConvWorkload(
    ROWS, ROWS, 1, 1, 32, 48, gathers=False, counted=True, scatters=True, residual_listed=True, epilogue=ADD
)

WAYS = {
    "dense": DENSE,
    "dense_add": replace(DENSE, epilogue=ADD),
    "dense_add_in_place": replace(DENSE, in_place=True, epilogue=ADD),
    "dense_window": replace(WINDOW, counted=False),
    "gathered_window": replace(WINDOW, epilogue=Epilogue(before=RELU)),
    "gathered_row": replace(WINDOW, taps=1),
    "gathered_scatter_add": replace(WINDOW, scatters=True, residual_listed=True, epilogue=ADD),
    "packed": replace(DENSE, counted=True),
    "packed_add_packed": replace(DENSE, counted=True, epilogue=ADD),
    "packed_add_listed": replace(DENSE, counted=True, residual_listed=True, epilogue=ADD),
    "scatter": replace(SCATTER, residual_listed=False, epilogue=Epilogue()),
    "scatter_add_packed": replace(SCATTER, residual_listed=False),
    "scatter_add_elsewhere": SCATTER,
    "scatter_add_in_place": replace(SCATTER, in_place=True),
}

CHANNELS = [(3, 64, 49), (3, 3, 9), (4, 8, 49), (8, 24, 9), (16, 16, 1), (24, 48, 9), (48, 96, 1), (96, 4, 9)]
"""In, out, taps."""

STAGES = {
    "1_conv1": (ConvWorkload(3136, 3136, 1, 1, 256, 64, True, True, False), 1700),
    "1_conv2": (ConvWorkload(3136, 3136, 9, 1, 64, 64, True, True, False), 1568),
    "2_conv3": (replace(SCATTER, rows=784, input_rows=784, in_channels=128, out_channels=512, in_place=True), 392),
    "3_conv2": (ConvWorkload(196, 196, 9, 1, 256, 256, True, True, False), 97),
    "4_conv2": (ConvWorkload(49, 49, 9, 1, 512, 512, True, True, False), 25),
    "4_conv3": (replace(SCATTER, rows=49, input_rows=49, in_channels=512, out_channels=2048, in_place=True), 49),
    "stem": (ConvWorkload(3136, 12544, 49, 1, 3, 64, True, False, False), 3136),
}


def counts(workload: ConvWorkload) -> tuple[int, ...]:
    """Nothing, one row, around one tile and around a group of two, and everything."""
    return (0, 1, 15, 16, 17, 31, 32, 33, workload.rows) if workload.counted else (workload.rows,)


@needs_tiles
@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_find_and_store_rows(way: str) -> None:
    workload = WAYS[way]
    assert conv_kernel(workload, TWO).arguments == workload.arguments()
    for count in counts(workload):
        check(workload, TWO, count)


@needs_tiles
@pytest.mark.parametrize(("in_channels", "out_channels", "taps"), CHANNELS)
def test_channels_that_fill_no_tile(in_channels: int, out_channels: int, taps: int) -> None:
    """Channels beyond the last are NaN in the input, and rows end where the next one begins."""
    workload = replace(WINDOW, taps=taps, in_channels=in_channels, out_channels=out_channels)
    for count in (17, ROWS):
        check(workload, TWO, count)


@needs_tiles
@pytest.mark.parametrize("out_channels", [3, 8, 24])
def test_narrow_results_are_scattered(out_channels: int) -> None:
    workload = replace(SCATTER, in_place=True, out_channels=out_channels)
    for count in (1, 33):
        check(workload, TWO, count)


@needs_tiles
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("scatters", [True, False])
def test_gates_by_channel_group(gate: str, scatters: bool) -> None:
    epilogue = GATES[gate]
    reads_residual = epilogue.takes_residual
    workload = replace(
        SCATTER, epilogue=epilogue, scatters=scatters, in_place=reads_residual and scatters,
        residual_listed=reads_residual,
    )  # fmt: skip
    for count in (0, 17, ROWS):
        check(workload, TWO, count)


@needs_tiles
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("threads", [1, 2])
def test_shapes_of_networks(stage: str, threads: int) -> None:
    workload, count = STAGES[stage]
    check(workload, default_decisions(workload, target_of(SAPPHIRE_RAPIDS), threads), count)


@needs_tiles
@pytest.mark.parametrize(
    "walkers", [(1, 1, 2), (1, 1, 9), (1, 2, 1), (1, 2, 2), (1, 8, 1), (2, 1, 2), (2, 2, 1), (4, 1, 9), (4, 3, 2)]
)
def test_walkers_share_rows_and_channels(walkers: tuple[int, int, int]) -> None:
    """Each sum runs in the same order, whoever computes it: nobody changes a bit. There are three groups of rows."""
    workload = replace(SCATTER, in_place=True, out_channels=128)
    kernel = conv_kernel(workload, TileDecisions(*walkers))
    for count in (0, 1, 33, ROWS):
        output, expected = (
            each(problem(workload, decisions, count).arrays)["output"]
            for each, decisions in ((kernel, TileDecisions(*walkers)), (conv_kernel(workload, ONE), ONE))
        )
        assert_same_bits(output, expected, "output")
    check(workload, TileDecisions(*walkers), ROWS)


DEPTHS = {
    "taps": (replace(WINDOW, in_channels=32), 3),
    "each_tap": (replace(WINDOW, in_channels=32), 9),
    "channels": (replace(SCATTER, in_channels=256, in_place=True), 4),
    "channels_of_a_last_step": (replace(SCATTER, in_channels=60), 2),
    "channels_of_a_last_tap": (replace(WINDOW, in_channels=60), 3),
}


@needs_tiles
@pytest.mark.parametrize("packed_groups", [1, 2])
@pytest.mark.parametrize("depth", DEPTHS)
def test_sums_in_parts(depth: str, packed_groups: int) -> None:
    workload, parts = DEPTHS[depth]
    for count in (0, 1, 33, ROWS):
        check(workload, TileDecisions(1, 2, packed_groups, parts), count)


@needs_tiles
def test_shared_channels_in_parts() -> None:
    workload = replace(WINDOW, in_channels=32, out_channels=128)
    for count in (17, ROWS):
        check(workload, TileDecisions(2, 2, 2, 3), count)


@needs_tiles
@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FFFFFFF, 0x7F800001, 0xFFC00000, 0xFFFFFFFF, 0xFF800001])
def test_nan_stays_with_the_rows_that_read_it(bits: int) -> None:
    """Of either sign, quiet or signalling, also where rounding would carry into the exponent."""
    given = problem(WINDOW, TWO, 40)
    output = conv_kernel(WINDOW, TWO)(given.arrays)["output"]
    source = given.arrays["input"].copy()
    source.view(np.uint32)[5, 3] = bits
    poisoned = conv_kernel(WINDOW, TWO)({**given.arrays, "input": source})["output"]
    _only_readers_differ(given, output, poisoned)


@needs_tiles
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinity_is_seen_in_the_rows_that_read_it(value: float) -> None:
    """Its lower part is infinity less infinity, so it comes out as NaN where float32 has an infinity or NaN."""
    given = problem(WINDOW, TWO, 40)
    output = conv_kernel(WINDOW, TWO)(given.arrays)["output"]
    source = given.arrays["input"].copy()
    source[5, 3] = value
    poisoned = conv_kernel(WINDOW, TWO)({**given.arrays, "input": source})["output"]
    _only_readers_differ(given, output, poisoned)


def _only_readers_differ(given: Problem, output: np.ndarray, poisoned: np.ndarray) -> None:
    """Rows that read row 5 of the input are NaN in all channels, the others have not changed by a bit."""
    readers = (given.arrays["table"][: given.count] == 5).any(axis=1)
    assert readers.any() and not readers.all()
    rows, others = given.stored_at[readers], np.setdiff1d(np.arange(len(output)), given.stored_at[readers])
    assert np.isnan(poisoned[rows, : given.workload.out_channels]).all()
    assert_same_bits(poisoned[others], output[others], "a row that does not read it")


@needs_tiles
def test_nan_of_a_residual_stays_in_its_element() -> None:
    workload = replace(SCATTER, in_place=True)
    given = problem(workload, TWO, 33)
    row = given.stored_at[7]
    given.arrays["output"][row, 11] = np.nan
    output = conv_kernel(workload, TWO)(given.arrays)["output"]
    written = np.isnan(output[given.stored_at, : workload.out_channels])
    assert np.argwhere(written).tolist() == [[7, 11]]


@needs_tiles
def test_nan_of_a_weight_stays_in_its_channel() -> None:
    given = problem(WINDOW, TWO, 33)
    high = given.arrays["weight"]
    high[1, 2, 0, 0, 3, 10] = 0x7FC0  # block 1, tile 0, channel 5: channel 37
    output = conv_kernel(WINDOW, TWO)(given.arrays)["output"]
    channels = np.isnan(output[given.stored_at, : WINDOW.out_channels])
    assert channels[:, 37].all() and channels.sum() == 33


@needs_tiles
@pytest.mark.parametrize("workload", [WINDOW, replace(WINDOW, taps=49, in_channels=3)])
def test_taps_outside_the_image_are_zero(workload: ConvWorkload) -> None:
    """They read row 0: what is left is the bias, bit for bit."""
    given = problem(workload, TWO, 20)
    given.arrays["table"][...] = 0
    output = conv_kernel(workload, TWO)(given.arrays)["output"]
    bias = given.arrays["bias"][: workload.out_channels]
    assert_same_bits(output[1:21, : workload.out_channels], np.tile(bias, (20, 1)), "output")


@needs_tiles
@pytest.mark.parametrize("decisions", [TWO, TileDecisions(2, 1, 9)])
@pytest.mark.parametrize(
    ("fetched", "upcoming"),
    [
        (0, None),
        (7, Upcoming((2, 3, 2, 2, 16, 32), 1, 5)),
        (0, Upcoming((8, 9, 2, 2, 16, 32), 4, 8192)),
        (10**6, Upcoming((8, 9, 2, 2, 16, 32), 2, 300)),
    ],
)
def test_prefetching_changes_no_bit(decisions: TileDecisions, fetched: int, upcoming: Upcoming | None) -> None:
    """Whatever was asked for before, and whatever is asked for next: less than there is, or far beyond its end."""
    workload = replace(SCATTER, in_place=True, out_channels=64)
    kernel = conv_kernel(workload, decisions, stream=Stream(fetched, upcoming))
    extra = {"upcoming": np.full(upcoming.shape, 0x7FC0, np.uint16)} if upcoming is not None else {}
    assert kernel.arguments == (*workload.arguments()[:-1], *extra, "output")
    for count in (0, 1, 33, ROWS):
        arrays = problem(workload, decisions, count).arrays
        expected = conv_kernel(workload, decisions)(arrays)["output"]
        after = kernel({**arrays, **extra})
        assert_same_bits(after["output"], expected, "output")
        for name in extra:
            assert_same_bits(after[name], extra[name], name)


def test_walkers_have_to_divide_the_blocks() -> None:
    with pytest.raises(ValueError, match="channel_walkers is 4, but it has to divide 2"):
        schedule_bf16x3_conv(WINDOW, TileDecisions(4, 1, 1))


def test_parts_have_to_divide_the_depth() -> None:
    with pytest.raises(ValueError, match="depth_parts is 2, but has to divide the taps"):
        schedule_bf16x3_conv(replace(WINDOW, in_channels=32), TileDecisions(1, 1, 1, 2))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [name for name, workload in SIZES.items() if workload.groups == 1])
def test_default_decisions_fit(size: str, threads: int) -> None:
    workload = SIZES[size]
    decisions = default_decisions(workload, target_of(SAPPHIRE_RAPIDS), threads)
    assert channel_blocks(workload) % decisions.channel_walkers == 0
    assert 1 <= decisions.channel_walkers * decisions.row_walkers <= threads
    assert 1 <= decisions.packed_groups <= -(-workload.rows // GROUP_ROWS)
    assert can_cut_depth(workload, decisions.depth_parts)
    depth = steps(workload) // decisions.depth_parts
    assert decisions.packed_groups == 1 or decisions.packed_groups * GROUP_ROWS * depth * STEP * 4 <= 2**21


def test_weights_are_shared_out_where_there_are_many() -> None:
    early, late = (default_decisions(SIZES[size], target_of(SAPPHIRE_RAPIDS), 4) for size in ("stage_1", "stage_4"))
    assert (early.channel_walkers, early.row_walkers) == (1, 4)
    assert (late.channel_walkers, late.row_walkers) == (4, 1)


@pytest.mark.parametrize("way", ["dense_window", "gathered_window", "scatter_add_in_place"])
def test_code_for_the_tile_unit(way: str) -> None:
    """Compiling needs no such CPU."""
    source = compiled(schedule_bf16x3_conv(WAYS[way], TWO), SAPPHIRE_RAPIDS).mod.inspect_source("asm")
    for instruction in ("ldtilecfg", "tileloadd", "tdpbf16ps", "tilestored", "tilerelease", "vcvtne"):
        assert instruction in source, instruction


def test_code_asks_for_its_own_weights_and_for_the_next_ones() -> None:
    lines = prod(weight_shape(WINDOW, TWO.nest)) // 32
    upcoming = Upcoming((2, 3, 2, 2, 16, 32), 1, 5)
    for stream, asks in ((Stream(lines), False), (Stream(), True), (Stream(lines, upcoming), True)):
        source = compiled(schedule_bf16x3_conv(WINDOW, TWO, stream), SAPPHIRE_RAPIDS).mod.inspect_source("asm")
        assert ("prefetcht1" in source) == asks, stream
