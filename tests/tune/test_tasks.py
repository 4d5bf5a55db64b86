"""Tasks of networks: each kernel once, with the rows that it runs on."""

from __future__ import annotations

import onnx
import pytest

from lascompile.errors import UsageError
from lascompile.plan.numerics import Numerics
from lascompile.target import parse_target
from lascompile.tune.activity import Decided, Dilated
from lascompile.tune.conv_problem import make_problem
from lascompile.tune.tasks import Setting, merge_tasks, tasks_of_model, tasks_of_zoo
from tests.masked_nets import masked_network

SETTING = Setting(parse_target("llvm"), 1, "a device", 0.5, Numerics.EXACT)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    path = tmp_path_factory.mktemp("tasks") / "m.onnx"
    onnx.save(masked_network(head=True, blocks=2), path)
    return tasks_of_model(path, SETTING)


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
    assert {task.family.name for task in tasks} == {"direct"}


def test_merged_tasks_add_up(tasks):
    merged = merge_tasks([*tasks, *tasks])
    assert [task.calls for task in merged] == [2 * task.calls for task in tasks]


def test_zoo():
    tasks = tasks_of_zoo("lasnet_resnet_tiny", SETTING, (2, 2, 1, 1), input_size=32)
    assert {task.activity.granularity for task in tasks} == {0, 1, 2}
    with pytest.raises(UsageError, match="unknown architecture"):
        tasks_of_zoo("lasnet", SETTING)
