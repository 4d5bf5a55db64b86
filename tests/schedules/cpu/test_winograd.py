"""Winograd convolutions, as `build` compiles them: results against direct convolution, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lascompile.schedules.cpu.winograd import (
    WinogradDecisions,
    check_decisions,
    default_decisions,
    pack_weight,
    schedule_winograd,
)
from lascompile.workload import ROW_SLACK, Epilogue, WinogradWorkload
from tests.kernels.calling import SENTINEL, assert_same_bits, compiled, target_of
from tests.kernels.rows import as_map, as_rows, unwritten
from tests.schedules.cpu.winograd_problems import check, problem, winograd_kernel

RELU = (("relu",),)
ADD = Epilogue(before=RELU, add=True, after=RELU)
TILES = 19
HASWELL, SKYLAKE = "llvm -mcpu=haswell", "llvm -mcpu=skylake-avx512"
AARCH64 = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78"

NEST = WinogradDecisions(
    lanes=16,
    width=16,
    tile_heights=(5, 2),
    unroll=2,
    channel_walkers=1,
    tile_walkers=2,
    held_tiles=10,
    transform_weights=False,
    depth_parts=1,
    prefetch=False,
)
LISTED = WinogradWorkload(4, TILES, 50, 300, 12, 32, counted=True, epilogue=Epilogue(before=RELU))

EPILOGUES = {
    "plain": Epilogue(),
    "activated": Epilogue(before=RELU),
    "add": ADD,
    "gated": Epilogue(gate_groups=3),
    "gated_add": Epilogue(before=RELU, gate_groups=2, add=True, after=RELU),
    "gated_otherwise": Epilogue(gate_groups=2, otherwise=True),
}

SIZES = {
    "stage_1": WinogradWorkload(4, 196, 3136, 3136, 64, 64, True),
    "stage_1_batch_8": WinogradWorkload(4, 8 * 196, 8 * 3136, 8 * 3136, 64, 64, True),
    "stage_2": WinogradWorkload(4, 49, 784, 784, 128, 128, True),
    "stage_3": WinogradWorkload(2, 49, 196, 196, 256, 256, True),
    "stage_4": WinogradWorkload(2, 16, 49, 49, 512, 512, False),
    "image": WinogradWorkload(4, 64, 1024, 1024, 3, 64, False),
    "few_out": WinogradWorkload(2, 64, 256, 256, 17, 3, False),
}


def counts(workload: WinogradWorkload) -> tuple[int, ...]:
    """Nothing, one tile, a whole register tile, some and a part, all but one, and everything."""
    return (0, 1, 5, 13, workload.tiles - 1, workload.tiles) if workload.counted else (workload.tiles,)


@pytest.mark.parametrize("name", EPILOGUES)
@pytest.mark.parametrize("in_place", [False, True])
def test_epilogues(name: str, in_place: bool) -> None:
    epilogue = EPILOGUES[name]
    workload = replace(LISTED, m=2, epilogue=epilogue, in_place=in_place and epilogue.takes_residual)
    assert winograd_kernel(workload, NEST).arguments == workload.arguments()
    for count in counts(workload):
        check(workload, NEST, count)


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("depth_parts", [1, 3])
@pytest.mark.parametrize("transform_weights", [True, False])
def test_weights_transformed_here_or_before(m: int, counted: bool, depth_parts: int, transform_weights: bool) -> None:
    workload = replace(LISTED, m=m, counted=counted)
    decisions = replace(NEST, transform_weights=transform_weights, depth_parts=depth_parts)
    for count in counts(workload):
        check(workload, replace(decisions, prefetch=counted), count)


@pytest.mark.parametrize("transform_weights", [True, False])
@pytest.mark.parametrize(("channel_walkers", "tile_walkers"), [(1, 1), (1, 8), (3, 2), (6, 1)])
def test_walkers_share_the_work(channel_walkers: int, tile_walkers: int, transform_weights: bool) -> None:
    workload = replace(LISTED, m=2, in_place=True, out_channels=48, epilogue=ADD)
    decisions = replace(NEST, width=8, depth_parts=2, channel_walkers=channel_walkers, tile_walkers=tile_walkers)
    for count in counts(workload):
        check(workload, replace(decisions, transform_weights=transform_weights), count)


@pytest.mark.parametrize("heights", [(1,), (3, 2, 1), (7, 4)])
def test_heights_and_chunks(heights: tuple[int, ...]) -> None:
    workload = replace(LISTED, m=2)
    for held in (heights[0], 2 * heights[0], 6 * heights[0]):
        decisions = replace(NEST, tile_heights=heights, held_tiles=held, tile_walkers=1, transform_weights=True)
        for count in counts(workload):
            check(workload, decisions, count)


@pytest.mark.parametrize("transform_weights", [True, False])
@pytest.mark.parametrize(
    ("in_channels", "out_channels", "width", "unroll"),
    [(1, 16, 16, 1), (3, 5, 8, 3), (7, 3, 4, 7), (17, 23, 32, 1), (24, 64, 64, 8)],
)
def test_channels_that_fill_no_vector(
    in_channels: int, out_channels: int, width: int, unroll: int, transform_weights: bool
) -> None:
    workload = replace(LISTED, in_channels=in_channels, out_channels=out_channels)
    decisions = replace(NEST, width=width, unroll=unroll, transform_weights=transform_weights)
    for count in (7, TILES):
        check(workload, decisions, count)


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("transform_weights", [True, False])
def test_another_processor(m: int, transform_weights: bool) -> None:
    workload = replace(LISTED, m=m, epilogue=ADD, in_place=True)
    decisions = default_decisions(workload, target_of(HASWELL), 2)
    for count in counts(workload):
        check(workload, replace(decisions, transform_weights=transform_weights), count, HASWELL)


def test_nobody_changes_a_bit() -> None:
    """Each sum runs in the same order, whoever computes it; so do two calls."""
    given = problem(LISTED, NEST, 17)
    expected = winograd_kernel(LISTED, NEST)(given.arrays)["output"]
    trash = LISTED.output_rows + 1
    for change in ({}, {"channel_walkers": 2}, {"tile_heights": (4, 1), "held_tiles": 4}, {"depth_parts": 2}):
        nest = replace(NEST, **change)
        arrays = given.arrays | {"weight": pack_weight(given.weight, LISTED, nest)}
        output = winograd_kernel(LISTED, nest)(arrays)["output"]
        assert_same_bits(output[:trash], expected[:trash], "output")


def tables(batch: int, size: int, corners: list[int], m: int) -> tuple[np.ndarray, np.ndarray]:
    """Tables of the tiles whose first output is at each pair of `corners`; an output belongs to its first tile."""
    taken = np.zeros((batch, size, size), bool)
    inputs, outputs = [], []
    for image in range(batch):
        for top in corners:
            for left in corners:

                def row(y: int, x: int, image: int = image) -> int:
                    return (image * size + y) * size + x + 1 if 0 <= y < size and 0 <= x < size else 0

                window = range(-1, m + 1)
                inputs.append([row(top + y, left + x) for y in window for x in window])
                wanted = []
                for y in range(top, top + m):
                    for x in range(left, left + m):
                        is_new = row(y, x) > 0 and not taken[image, y, x]
                        wanted.append(row(y, x) if is_new else batch * size * size + 1)
                        if is_new:
                            taken[image, y, x] = True
                outputs.append(wanted)
    assert taken.all()
    slack = ((0, ROW_SLACK), (0, 0))
    return np.pad(np.array(inputs, np.int32), slack), np.pad(np.array(outputs, np.int32), slack)


@pytest.mark.parametrize(
    ("m", "size", "corners"),
    [(4, 8, [0, 4]), (4, 7, [0, 3]), (4, 7, [0, 4]), (4, 10, [0, 1, 5, 6]), (2, 7, [0, 2, 4, 6]), (2, 5, [0, 2, 3])],
)
@pytest.mark.parametrize("in_place", [False, True])
def test_a_map_in_tiles_that_overlap_or_reach_beyond_it(m: int, size: int, corners: list[int], in_place: bool) -> None:
    """A residual in place is added once, however often its pixel is computed."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 20, size, size, generator=generator)
    weight, bias = torch.randn(24, 20, 3, 3, generator=generator), torch.randn(24, generator=generator)
    residual = torch.randn(2, 24, size, size, generator=generator)
    expected = torch.relu(torch.nn.functional.conv2d(x, weight, bias, padding=1) + residual).numpy()

    input_table, output_table = tables(2, size, corners, m)
    pixels = 2 * size * size
    epilogue = Epilogue(add=True, after=RELU)
    workload = WinogradWorkload(
        m, len(input_table) - ROW_SLACK, pixels, pixels, 20, 24, counted=False, in_place=in_place, epilogue=epilogue
    )
    kernel = winograd_kernel(workload, NEST)
    residual_rows = as_rows(residual.numpy(), beyond=0.0)
    arrays = {
        "input": as_rows(x.numpy()),
        "input_table": input_table,
        "output_table": output_table,
        "weight": pack_weight(weight.numpy(), workload, NEST),
        "bias": np.pad(bias.numpy(), (0, 8)),
        "residual": residual_rows,
        "output": residual_rows if in_place else unwritten((2, 24, size, size), SENTINEL),
    }
    output = as_map(kernel(arrays)["output"], (2, 24, size, size))
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_refuses_numbers_that_do_not_divide() -> None:
    for change, message in (
        ({"unroll": 5}, "unroll is 5, but it has to divide 12"),
        ({"depth_parts": 5}, "depth_parts is 5, but it has to divide 12"),
        ({"depth_parts": 6, "unroll": 4}, "unroll is 4, but it has to divide 2"),
        ({"width": 24}, "width is 24, but it has to divide 32"),
        ({"channel_walkers": 3}, "channel_walkers is 3, but it has to divide 2"),
        ({"held_tiles": 12}, "the highest of tile_heights is 5, but it has to divide 12"),
        ({"tile_heights": (2, 5)}, r"tile_heights is \(2, 5\)"),
        ({"tile_heights": ()}, r"tile_heights is \(\)"),
    ):
        with pytest.raises(ValueError, match=message):
            schedule_winograd(LISTED, replace(NEST, **change))


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("target", [HASWELL, SKYLAKE, AARCH64])
@pytest.mark.parametrize("size", SIZES)
def test_default_decisions_fit(size: str, target: str, threads: int) -> None:
    workload, device = SIZES[size], target_of(target)
    decisions = default_decisions(workload, device, threads)
    check_decisions(workload, decisions)
    vectors = -(-decisions.width // device.lanes)
    assert decisions.tile_heights[0] * vectors + vectors + 1 <= device.vector_registers
    assert 1 <= decisions.channel_walkers * decisions.tile_walkers <= threads


def test_object_code_for_arm(tmp_path: Path) -> None:
    code = compiled(schedule_winograd(LISTED, default_decisions(LISTED, target_of(AARCH64), 4)), AARCH64)
    code.mod.write_to_file(str(tmp_path / "conv.o"), "o")
    elf = (tmp_path / "conv.o").read_bytes()
    assert elf[:4] == b"\x7fELF" and int.from_bytes(elf[18:20], "little") == 183  # EM_AARCH64
    assert "fmla" in code.mod.inspect_source("asm")


def test_weights_are_transformed_where_memory_is_the_limit() -> None:
    skylake = target_of(SKYLAKE)
    few, many = (default_decisions(replace(SIZES["stage_3"], tiles=tiles), skylake, 2) for tiles in (49, 392))
    assert few.transform_weights and few.channel_walkers == 2 and few.depth_parts > 1
    assert not many.transform_weights and many.tile_walkers == 2
    assert not default_decisions(SIZES["stage_1"], skylake, 2).transform_weights
