"""Which kernels of a network are measured, and what the table tells of their place; by which decisions."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from lascompile.measure.cells import plan_cells
from lascompile.measure.kernels import MeasuredKernel, _with_stages, kernels_of_network, merge_kernels, shape_of
from lascompile.records import Latency, Record, RecordStore, Versions
from lascompile.records.matching import is_dynamic
from lascompile.target import parse_target
from lascompile.tune.tasks import Setting, zoo_file
from lascompile.workload import ConvWorkload, Epilogue, WinogradWorkload
from tests.measure.stubs import cells, measurements
from tests.tune.tiny import DENSE, PACKED, task


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    setting = Setting(parse_target("llvm"), 1, "a device", 0.5)
    with zoo_file("lasnet_resnet_tiny", (4, 2, 2, 1), input_size=64) as file:
        return kernels_of_network(file, setting)


def test_dynamic_kernels_have_the_granularity_and_stage_of_their_mask(network):
    dynamic = [kernel for kernel in network if is_dynamic(kernel.task.workload)]
    places = {(kernel.granularity, kernel.stage) for kernel in dynamic}
    assert places == {((4, 4), (32, 16, 16)), ((2, 2), (64, 8, 8)), ((2, 2), (96, 4, 4)), ((1, 1), (128, 2, 2))}


def test_the_same_convolutions_are_measured_without_masks_and_know_their_stage(network):
    dense = [kernel for kernel in network if not is_dynamic(kernel.task.workload)]
    assert all(kernel.granularity is None for kernel in dense)
    staged = {kernel.stage for kernel in dense if kernel.stage}
    assert staged == {(32, 16, 16), (64, 8, 8), (96, 4, 4), (128, 2, 2)}
    assert any(kernel.stage is None for kernel in dense)  # the stem


def test_equal_kernels_of_several_networks_are_one(network):
    assert merge_kernels([*network, *network]) == network
    finer = [replace(kernel, granularity=(1, 2)) for kernel in network if kernel.granularity]
    assert len(merge_kernels([*network, *finer])) == len(network) + len(finer)
    assert finer[0].name.endswith("S=1x2 r=0.5")


def test_a_dense_kernel_has_a_stage_only_where_there_is_one():
    dense, masked = MeasuredKernel(task(DENSE)), MeasuredKernel(task(PACKED), (1, 1), (32, 6, 6))
    other = replace(masked, granularity=(2, 2), stage=(64, 6, 6))
    assert [kernel.stage for kernel in _with_stages([dense, masked])] == [(32, 6, 6), (32, 6, 6)]
    assert [kernel.stage for kernel in _with_stages([dense, masked, other])] == [None, (32, 6, 6), (64, 6, 6)]


def test_the_stage_of_a_kernel_does_not_depend_on_other_networks():
    first = _with_stages([MeasuredKernel(task(DENSE)), MeasuredKernel(task(PACKED), (1, 1), (32, 6, 6))])
    second = _with_stages([MeasuredKernel(task(DENSE)), MeasuredKernel(task(PACKED), (2, 2), (64, 6, 6))])
    unmasked = _with_stages([MeasuredKernel(task(DENSE))])
    assert merge_kernels([*first, *second, *unmasked]) == [*first, *second, *unmasked]


@pytest.mark.parametrize("m", [2, 4])
def test_a_convolution_has_the_same_shape_over_rows_and_over_tiles(m):
    rows = ConvWorkload(36, 36, 9, 1, 20, 32, gathers=True, counted=True, scatters=False)
    tiles = WinogradWorkload(m, 9, 36, 36, 20, 32, counted=False)
    assert shape_of(rows) == shape_of(tiles) != shape_of(replace(rows, taps=1))
    assert shape_of(rows) != shape_of(replace(rows, epilogue=Epilogue(add=True)))
    assert len({shape_of(replace(rows, **{name: 4})) for name in ("rows", "input_rows", "groups", "in_channels")}) == 4


def test_decisions_are_those_of_the_record_that_a_build_would_take(tmp_path):
    [default, *_] = cells(tmp_path)
    decisions = replace(default.job.decisions, tile_rows=3)
    assert decisions != default.job.decisions
    record = Record(
        default.kernel.task.at(0.5).record_task,
        "direct",
        default.cell.definition,
        asdict(decisions),
        Versions.installed(),
        Latency.of([1e-6]),
    )
    RecordStore(tmp_path).append(record)
    found = plan_cells([default.kernel], (0.25, 0.5), measurements(tmp_path, default.kernel.task))
    assert [item.job.decisions for item in found] == [decisions] * 2
    assert [item.cell.decisions["tile_rows"] for item in found] == [3, 3]
    assert [item.job.rate for item in found] == [0.25, 0.5] and found[0].library == found[1].library
    assert found[0].job.workload == PACKED
