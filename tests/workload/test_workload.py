"""Names, keys and arguments of workloads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lascompile.workload import (
    CompactWorkload,
    ConvWorkload,
    Epilogue,
    MapWorkload,
    PoolWorkload,
    UnionWorkload,
    WindowShape,
    Workload,
    channel_stride,
)

CONV = ConvWorkload(49, 196, 9, 1, 64, 32, gathers=True, counted=True, scatters=False)
MAP = MapWorkload(49, 49, 64, "Mul", ("list", "table"), (49, 30), counted=True, scatters=False)


@pytest.mark.parametrize(
    ("channels", "stride"), [(1, 4), (4, 4), (5, 8), (8, 8), (9, 16), (16, 16), (17, 32), (1000, 1008)]
)
def test_width_of_a_row(channels: int, stride: int) -> None:
    assert channel_stride(channels) == stride


@pytest.mark.parametrize(
    ("workload", "name"),
    [
        (CONV, "gather_conv3x3"),
        (replace(CONV, counted=False), "conv3x3"),
        (replace(CONV, taps=6), "gather_conv6taps"),
        (replace(CONV, taps=1, scatters=True, epilogue=Epilogue(add=True)), "masked_conv1x1_scatter_add"),
        (replace(CONV, groups=64, out_channels=64), "gather_depthwise_conv3x3"),
        (MAP, "masked_map_mul"),
        (replace(MAP, counted=False, scatters=True), "map_mul_scatter"),
    ],
)
def test_names(workload: Workload, name: str) -> None:
    assert workload.name() == name and workload.key().startswith(f"{name}_")


def test_names_of_poolings() -> None:
    whole = WindowShape(1, (7, 5), (1, 1), (0, 0), (1, 1), (7, 5), (1, 1))
    assert PoolWorkload("average", whole, 8).name() == "global_average_pool"
    part = replace(whole, kernel=(3, 2), output_size=(5, 4))
    assert PoolWorkload("max", part, 8).name() == "max_pool3x2"


def test_equal_workloads_share_a_key_and_others_do_not() -> None:
    assert CONV.key() == replace(CONV).key()
    others = [replace(CONV, rows=48), replace(CONV, epilogue=Epilogue(add=True)), replace(CONV, scatters=True)]
    plain: list[Workload] = [CompactWorkload(3), UnionWorkload(3)]
    keys = [workload.key() for workload in (CONV, *others, *plain)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("workload", "arguments"),
    [
        (CONV, "input table weight bias count output"),
        (replace(CONV, gathers=False, counted=False), "input weight bias output"),
        (replace(CONV, scatters=True), "input table weight bias list count output"),
        (replace(CONV, epilogue=Epilogue(add=True)), "input table weight bias residual count output"),
        (replace(CONV, epilogue=Epilogue(add=True), in_place=True), "input table weight bias count output"),
        (
            replace(CONV, epilogue=Epilogue(gate_groups=2, otherwise=True)),
            "input table weight bias group_active channel_group list residual count output",
        ),
        (MAP, "operand0 operand1 table1 list count output"),
        (replace(MAP, operands=("row", "scalar")), "operand0 operand1 count output"),
        (replace(MAP, operands=("row", "image")), "operand0 operand1 list count output"),
        (replace(MAP, operands=("row", "image"), counted=False), "operand0 operand1 output"),
    ],
)
def test_arguments_in_order(workload: ConvWorkload | MapWorkload, arguments: str) -> None:
    assert workload.arguments() == tuple(arguments.split())


@pytest.mark.parametrize(
    ("groups", "channels", "depthwise"),
    [(8, (8, 8), True), (8, (8, 16), False), (4, (8, 8), False), (1, (1, 1), False)],
)
def test_depthwise(groups: int, channels: tuple[int, int], depthwise: bool) -> None:
    assert replace(CONV, groups=groups, in_channels=channels[0], out_channels=channels[1]).is_depthwise == depthwise


def test_flops_count_each_multiply_and_add() -> None:
    assert replace(CONV, groups=4).flops == 2 * 49 * 9 * (64 // 4) * 32


def test_sizes_of_a_window() -> None:
    shape = WindowShape(2, (3, 2), (1, 1), (0, 0), (1, 1), (7, 5), (5, 4))
    assert (shape.input_rows, shape.output_rows, shape.taps) == (70, 40, 6)


@pytest.mark.parametrize("field", ["rows", "taps", "groups", "in_channels"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_are_positive(field, value):
    workload = ConvWorkload(4, 4, 1, 1, 8, 8, gathers=False, counted=False, scatters=False)
    with pytest.raises(ValueError, match=f"^{field} is {value}, at least 1 is needed$"):
        replace(workload, **{field: value})
