"""Schedules of convolutions, as `build` compiles them: results, which tiles run, what is held in registers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tvm

from lascompile.kernels.row_conv import weight_shape
from lascompile.schedules.cpu.row_conv import Decisions, default_decisions, schedule_row_conv
from lascompile.workload import ROW_SLACK, ConvWorkload, Epilogue
from tests.kernels.calling import assert_same_bits, compiled, target_of
from tests.schedules.cpu.conv_problems import check, conv_kernel, problem

RELU = (("relu",),)
ADD = Epilogue(before=RELU, add=True, after=RELU)
ROWS = 23
TILE = Decisions(tile_rows=5, width=16, unroll=4, channel_walkers=1, row_walkers=2, rows_inside=True)

DENSE = ConvWorkload(ROWS, ROWS, 1, 1, 20, 32, gathers=False, counted=False, scatters=False)
WINDOW = ConvWorkload(ROWS, 31, 9, 1, 12, 32, gathers=True, counted=True, scatters=False)
SCATTER = ConvWorkload(
    ROWS, ROWS, 1, 1, 20, 32, gathers=False, counted=True, scatters=True, residual_listed=True, epilogue=ADD
)

WAYS = {
    "dense": DENSE,
    "dense_activated": replace(DENSE, epilogue=Epilogue(before=RELU)),
    "dense_add": replace(DENSE, epilogue=ADD),
    "dense_add_in_place": replace(DENSE, in_place=True, epilogue=ADD),
    "dense_window": replace(WINDOW, counted=False),
    "gathered_window": WINDOW,
    "gathered_row": replace(WINDOW, taps=1),
    "gathered_scatter_add": replace(WINDOW, scatters=True, residual_listed=True, epilogue=ADD),
    "packed": replace(DENSE, counted=True),
    "packed_add_packed": replace(DENSE, counted=True, epilogue=ADD),
    "packed_add_in_place": replace(DENSE, counted=True, in_place=True, epilogue=ADD),
    "packed_add_listed": replace(DENSE, counted=True, residual_listed=True, epilogue=ADD),
    "scatter": replace(SCATTER, residual_listed=False, epilogue=Epilogue()),
    "scatter_add_packed": replace(SCATTER, residual_listed=False),
    "scatter_add_elsewhere": SCATTER,
    "scatter_add_in_place": replace(SCATTER, in_place=True),
}

GATES = {
    "gated": Epilogue(gate_groups=3),
    "gated_add": Epilogue(before=RELU, gate_groups=2, add=True, after=RELU),
    "gated_otherwise": Epilogue(gate_groups=2, otherwise=True),
    "gated_otherwise_add": Epilogue(gate_groups=2, otherwise=True, add=True, after=RELU),
}

CHANNELS = {  # groups, in, out, width, unroll
    "one_in": (1, 1, 32, 16, 1),
    "image": (1, 3, 16, 16, 3),
    "few_out": (1, 16, 3, 4, 4),
    "odd": (1, 17, 23, 16, 1),
    "wide": (1, 8, 96, 48, 8),
    "narrow": (1, 8, 32, 2, 2),
    "groups_of_odd_width": (4, 12, 20, 5, 3),
    "groups_of_one_output": (3, 9, 3, 1, 3),
    "groups_not_filling_a_row": (2, 12, 6, 3, 2),
    "depthwise": (32, 32, 32, 16, 1),
    "depthwise_odd": (19, 19, 19, 16, 1),
}

HASWELL, SKYLAKE = "llvm -mcpu=haswell", "llvm -mcpu=skylake-avx512"
AARCH64 = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78"

SIZES = {
    "image": ConvWorkload(3136, 12544, 49, 1, 3, 64, True, False, False),
    "stage_1": ConvWorkload(3136, 3136, 9, 1, 64, 64, True, True, False),
    "stage_4": ConvWorkload(49, 49, 9, 1, 512, 512, True, True, False),
    "scatter": replace(SCATTER, rows=196, in_channels=256, out_channels=1024, in_place=True),
    "mask": ConvWorkload(49, 49, 1, 1, 1024, 2, False, False, False),
    "classifier": ConvWorkload(1, 1, 1, 1, 2048, 1000, False, False, False),
    "few_rows": ConvWorkload(3, 3, 9, 1, 64, 64, True, True, False),
    "groups": ConvWorkload(196, 196, 9, 16, 256, 256, True, True, False),
    "odd_groups": ConvWorkload(196, 196, 9, 3, 33, 21, True, True, False),
    "depthwise": ConvWorkload(196, 196, 9, 40, 40, 40, True, True, False),
}


def counts(workload: ConvWorkload) -> tuple[int, ...]:
    """Nothing, one row, a whole tile, some tiles and a part, and everything."""
    return (0, 1, 5, 13, workload.rows) if workload.counted else (workload.rows,)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_find_and_store_rows(way: str) -> None:
    workload = WAYS[way]
    assert conv_kernel(workload, TILE).arguments == workload.arguments()
    for count in counts(workload):
        check(workload, TILE, count)


@pytest.mark.parametrize("way", ["dense_add", "gathered_window", "scatter_add_in_place"])
def test_each_way_on_another_processor(way: str) -> None:
    for count in counts(WAYS[way]):
        check(WAYS[way], replace(TILE, tile_rows=4, width=8), count, HASWELL)


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_that_fill_no_vector(name: str) -> None:
    groups, in_channels, out_channels, width, unroll = CHANNELS[name]
    workload = ConvWorkload(ROWS, 31, 9, groups, in_channels, out_channels, True, True, False)
    for count in (7, ROWS):
        check(workload, replace(TILE, width=width, unroll=unroll), count)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("scatters", [True, False])
def test_gates_by_channel_group(gate: str, scatters: bool) -> None:
    epilogue = GATES[gate]
    reads_residual = epilogue.takes_residual
    workload = replace(
        SCATTER, epilogue=epilogue, scatters=scatters, in_place=reads_residual and scatters,
        residual_listed=reads_residual,
    )  # fmt: skip
    for count in counts(workload):
        check(workload, TILE, count)


@pytest.mark.parametrize("rows_inside", [True, False])
@pytest.mark.parametrize(("channel_walkers", "row_walkers"), [(1, 1), (1, 8), (2, 2), (2, 3), (3, 1), (6, 2)])
def test_walkers_share_the_tiles(channel_walkers: int, row_walkers: int, rows_inside: bool) -> None:
    decisions = Decisions(3, 8, 4, channel_walkers, row_walkers, rows_inside)
    workload = replace(SCATTER, in_place=True, out_channels=48)
    for count in counts(workload):
        check(workload, decisions, count)


@pytest.mark.parametrize("rows_inside", [True, False])
def test_eight_channel_walkers(rows_inside: bool) -> None:
    for count in counts(WINDOW):
        check(replace(WINDOW, out_channels=64), Decisions(7, 8, 4, 8, 2, rows_inside), count)


@pytest.mark.parametrize("tile_rows", [1, 4, 7, 23])
@pytest.mark.parametrize("way", ["dense_window", "gathered_window", "scatter_add_in_place"])
def test_heights_of_tiles(way: str, tile_rows: int) -> None:
    for count in counts(WAYS[way]):
        check(WAYS[way], replace(TILE, tile_rows=tile_rows), count)


@pytest.mark.parametrize("rows", [1, 2, 31, 64])
def test_the_highest_tile_stays_within_the_slack(rows: int) -> None:
    for count in {0, 1, rows // 2, rows}:
        check(replace(WINDOW, rows=rows), replace(TILE, tile_rows=min(rows, ROW_SLACK - 1)), count)


@pytest.mark.parametrize("rows_inside", [True, False])
@pytest.mark.parametrize("lines", [1, 3])
def test_prefetching_changes_no_result(lines: int, rows_inside: bool) -> None:
    without = replace(TILE, channel_walkers=2, rows_inside=rows_inside)
    decisions = replace(without, prefetch=lines)
    for count in counts(WINDOW):
        check(WINDOW, decisions, count)
        given = problem(WINDOW, without, count).arrays
        expected, output = (conv_kernel(WINDOW, each)(given)["output"] for each in (without, decisions))
        assert_same_bits(output, expected, "output")


def test_walkers_and_loop_orders_change_no_bit() -> None:
    """Each sum runs in the same order, whoever computes it; so do two calls."""
    given = problem(SCATTER, TILE, 17).arrays
    expected = conv_kernel(SCATTER, TILE)(given)["output"]
    for channel_walkers, row_walkers, rows_inside in [(1, 2, True), (2, 1, False), (1, 8, False), (2, 3, True)]:
        kernel = conv_kernel(SCATTER, Decisions(5, 16, 4, channel_walkers, row_walkers, rows_inside))
        for _ in range(3):
            assert_same_bits(kernel(given)["output"], expected, "output")


@pytest.mark.parametrize("tile_rows", [-1, 0, ROWS + 1, ROW_SLACK])
def test_refuses_tiles_that_do_not_fit(tile_rows: int) -> None:
    with pytest.raises(ValueError, match=f"tile_rows is {tile_rows}, allowed is 1 to {ROWS}"):
        schedule_row_conv(WINDOW, replace(TILE, tile_rows=tile_rows))
    with pytest.raises(ValueError, match=f"tile_rows is {ROW_SLACK}, allowed is 1 to {ROW_SLACK - 1}"):
        schedule_row_conv(replace(WINDOW, rows=100), replace(TILE, tile_rows=ROW_SLACK))


def test_refuses_numbers_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="unroll is 5, but it has to divide 12"):
        schedule_row_conv(WINDOW, replace(TILE, unroll=5))
    with pytest.raises(ValueError, match="channel_walkers is 3, but it has to divide 2"):
        schedule_row_conv(WINDOW, replace(TILE, channel_walkers=3))


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("target", [HASWELL, SKYLAKE, AARCH64])
@pytest.mark.parametrize("size", SIZES)
def test_default_decisions_fit(size: str, target: str, threads: int) -> None:
    workload, device = SIZES[size], target_of(target)
    decisions = default_decisions(workload, device, threads)
    blocks, _, depth, _ = weight_shape(workload, decisions.width)
    vectors = -(-decisions.width // device.lanes)
    # The sums, the weights of a step, and the broadcast input.
    assert decisions.tile_rows * vectors + vectors + 1 <= device.vector_registers
    assert 1 <= decisions.tile_rows <= min(workload.rows, ROW_SLACK - 1)
    assert blocks % decisions.channel_walkers == 0 and depth % decisions.unroll == 0
    assert 1 <= decisions.channel_walkers * decisions.row_walkers <= threads


@pytest.mark.parametrize(("target", "lanes", "registers"), [(HASWELL, 8, 16), (SKYLAKE, 16, 32), (AARCH64, 4, 32)])
def test_default_tiles_use_the_registers(target: str, lanes: int, registers: int) -> None:
    decisions = default_decisions(SIZES["stage_1"], target_of(target), 2)
    assert decisions.width == 2 * lanes
    assert decisions.tile_rows * 2 * 2 > registers - 3


def test_weights_are_shared_out_where_they_outweigh_the_rows() -> None:
    skylake = target_of(SKYLAKE)
    late, early = (default_decisions(SIZES[size], skylake, 4) for size in ("stage_4", "stage_1"))
    assert (late.channel_walkers, late.row_walkers, late.rows_inside, late.prefetch > 0) == (4, 1, True, True)
    assert (early.channel_walkers, early.row_walkers, early.rows_inside, early.prefetch) == (1, 4, False, 0)


@pytest.mark.parametrize("way", ["gathered_window", "scatter_add_in_place"])
def test_object_code_for_arm(way: str, tmp_path: Path) -> None:
    workload = WAYS[way]
    func = schedule_row_conv(workload, default_decisions(workload, target_of(AARCH64), 4))
    code = compiled(func, AARCH64)
    code.mod.write_to_file(str(tmp_path / "conv.o"), "o")
    elf = (tmp_path / "conv.o").read_bytes()
    assert elf[:4] == b"\x7fELF" and int.from_bytes(elf[18:20], "little") == 183  # EM_AARCH64
    assert "fmla" in code.mod.inspect_source("asm")


@pytest.mark.parametrize("target", [HASWELL, SKYLAKE, AARCH64])
@pytest.mark.parametrize("way", ["dense_window", "gathered_window", "scatter_add_in_place"])
def test_sums_do_not_come_from_a_heap(way: str, target: str) -> None:
    """TVM's own pipeline allots a tile of this size from its workspace; the project's does not."""
    workload = replace(WAYS[way], out_channels=64)
    func = schedule_row_conv(workload, default_decisions(workload, target_of(target), 2))
    module = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    assert "TVMBackendAllocWorkspace" not in compiled(func, target).mod.inspect_source("ll")
    assert "TVMBackendAllocWorkspace" in tvm.compile(module, target=target_of(target).to_tvm()).mod.inspect_source("ll")


@pytest.mark.parametrize("lines", [0, 2])
def test_prefetches_are_in_the_code(lines: int) -> None:
    source = compiled(schedule_row_conv(WINDOW, replace(TILE, prefetch=lines)), SKYLAKE).mod.inspect_source("asm")
    assert ("prefetcht1" in source) == (lines > 0)
