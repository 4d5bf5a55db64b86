"""Tasks of networks: each kernel once, with the rows that it runs on."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest

from lascompile.errors import UsageError
from lascompile.schedules.numerics import Numerics
from lascompile.sites.activity import Decided, Dilated
from lascompile.target import parse_target
from lascompile.tune.problems import make_problem
from lascompile.tune.tasks import Setting, merge_tasks, tasks_of_model, tasks_of_zoo
from lascompile.workload import ConvWorkload, WinogradWorkload
from tests.masked_nets import masked_network

SETTING = Setting(parse_target("llvm -mcpu=skylake-avx512"), 1, "a device", 0.5, Numerics.EXACT)
FAST = replace(SETTING, numerics=Numerics.FAST)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("tasks") / "m.onnx"
    onnx.save(masked_network(head=True, blocks=2), path)
    return path


@pytest.fixture(scope="module")
def tasks(model):
    return tasks_of_model(model, SETTING)


@pytest.fixture(scope="module")
def fast_tasks(model):
    return tasks_of_model(model, FAST)


def test_equal_kernels_are_one_task(tasks):
    workloads = [task.workload for task in tasks]
    assert len(set(workloads)) == len(workloads)
    assert max(task.calls for task in tasks) >= 2


def test_rows_come_from_the_mask(tasks):
    dynamic = [task for task in tasks if task.workload.counted]
    assert dynamic and all(task.rate == 0.5 for task in dynamic)
    assert all(task.rate == 1.0 for task in tasks if not task.workload.counted)
    regions = {type(task.activity.rows) for task in dynamic}
    assert regions == {Decided, Dilated}
    assert all(task.activity.granularity > 1 for task in dynamic)


def test_each_has_a_problem(tasks):
    for task in tasks:
        problem = make_problem(task.workload, task.activity, task.rate, seed=0)
        assert (problem.count < task.workload.rows) == (task.rate < 1) or isinstance(task.activity.rows, Dilated)
        assert problem.expected.shape == (problem.count, task.workload.out_channels)


def test_one_algorithm_is_what_build_would_take(tasks):
    assert all(task.is_default for task in tasks)
    assert {task.algorithm.name for task in tasks} == {"direct"}


def test_fast_numerics_add_the_forms_over_tiles(tasks, fast_tasks):
    over_rows = [task for task in fast_tasks if isinstance(task.workload, ConvWorkload)]
    assert [(task.workload, task.calls, task.activity) for task in over_rows] == [
        (task.workload, task.calls, task.activity) for task in tasks
    ]
    over_tiles = [task for task in fast_tasks if isinstance(task.workload, WinogradWorkload)]
    assert {task.algorithm.name for task in over_tiles} == {"winograd2", "winograd4"}
    calls = {task.workload: task.calls for task in over_rows}
    for task in over_tiles:
        assert task.activity.tiles is not None and task.activity.tiles.m == task.workload.m
        assert task.row_form.taps == 9 and task.calls == calls[task.row_form]
        assert task.contest == (task.row_form, task.rate) and task.rate == (0.5 if task.workload.counted else 1.0)


def test_each_convolution_has_one_default(fast_tasks):
    contests = {task.contest for task in fast_tasks}
    assert len([task for task in fast_tasks if task.is_default]) == len(contests) < len(fast_tasks)


def test_tiles_have_problems_on_the_rows_of_the_kernel_over_rows(fast_tasks):
    """Both compute the same pixels; those over tiles read at least what those over rows do."""
    over_rows = {task.workload: task for task in fast_tasks if isinstance(task.workload, ConvWorkload)}
    for task in fast_tasks:
        if isinstance(task.workload, WinogradWorkload):
            other = over_rows[task.row_form]
            assert task.activity.rows == other.activity.rows and task.activity.source == other.activity.source
            assert task.activity.packs == (task.row_form.counted and not task.row_form.scatters)
            tiles, rows = (make_problem(one.workload, one.activity, one.rate, 0) for one in (task, other))
            assert sorted(tiles.stored_at) == sorted(rows.stored_at)
            assert set(rows.read.flat) <= {0, *tiles.read.flat}


def test_merged_tasks_add_up(tasks):
    merged = merge_tasks([*tasks, *tasks])
    assert [task.calls for task in merged] == [2 * task.calls for task in tasks]


def test_zoo():
    tasks = tasks_of_zoo("lasnet_resnet_tiny", SETTING, (2, 2, 1, 1), input_size=32)
    assert {task.activity.granularity for task in tasks} == {0, 1, 2}
    packed = [task for task in tasks_of_zoo("lasnet_resnet_tiny", FAST, (2, 2, 1, 1), 32) if task.activity.packs]
    assert packed and all(task.activity.source is not None for task in packed)
    with pytest.raises(UsageError, match="unknown architecture"):
        tasks_of_zoo("lasnet", SETTING)
