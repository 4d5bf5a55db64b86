"""Which kernels of a network are measured, and what the table tells of their place; by which decisions."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from lascompile.measure.cells import plan_cells
from lascompile.measure.kernels import kernels_of_network, merge_kernels
from lascompile.records import Latency, Record, RecordStore, Versions
from lascompile.records.matching import is_dynamic
from lascompile.target import parse_target
from lascompile.tune.tasks import Setting, zoo_file
from tests.measure.stubs import cells, measurements
from tests.tune.tiny import PACKED


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
