"""Problems catch what a wrong kernel does, and find nothing wrong with a right one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lascompile.schedules.cpu.algorithms import DIRECT
from lascompile.sites.activity import Activity, Decided, active_count
from lascompile.target import parse_target
from lascompile.tune.conv_problem import make_problem
from lascompile.workload import ConvWorkload, Epilogue, WindowShape
from tests.kernels.calling import Kernel
from tests.tune.tiny import ACTIVITY, DENSE, INDEX, PACKED, SCATTER, SIDE

WINDOW = WindowShape(1, (3, 3), (1, 1), (1, 1), (1, 1), (SIDE, SIDE), (SIDE, SIDE))
GATHER = ConvWorkload(36, 36, 9, 1, 12, 24, gathers=True, counted=True, scatters=False)
MASK = ACTIVITY.rows
TWO_GROUPS = Activity(Decided("two", (1, SIDE, SIDE), np.concatenate([INDEX, INDEX[::-1]]).tobytes()))

CASES = {
    "packed": (PACKED, ACTIVITY),
    "dense": (DENSE, Activity()),
    "scatter": (SCATTER, ACTIVITY),
    "gather": (GATHER, Activity(MASK, WINDOW)),
    "gather_packed": (GATHER, Activity(MASK, WINDOW, source=MASK)),
    "listed": (replace(PACKED, gathers=True), ACTIVITY),
    "groups": (replace(GATHER, groups=3, out_channels=24), Activity(MASK, WINDOW)),
    "depthwise": (replace(GATHER, groups=12, out_channels=12), Activity(MASK, WINDOW)),
    "gated": (
        replace(SCATTER, epilogue=Epilogue((("relu",),), 2, add=True, after=(("relu",),))),
        TWO_GROUPS,
    ),
    "otherwise": (replace(SCATTER, epilogue=Epilogue(gate_groups=2, otherwise=True)), TWO_GROUPS),
}


def run(name, rate):
    workload, activity = CASES[name]
    problem = make_problem(workload, activity, rate, seed=1)
    decisions = DIRECT.decide(workload, parse_target("llvm"), 1)
    arrays = dict(zip(workload.arguments(), problem.arguments(DIRECT, decisions), strict=True))
    return problem, Kernel(DIRECT.schedule(workload, decisions))(arrays)["output"]


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", CASES)
def test_a_right_kernel_has_no_fault(name, rate):
    problem, output = run(name, rate)
    assert problem.fault(output, 1e-5) is None
    assert problem.count == (36 if not problem.workload.counted else problem.count)


def test_counts_follow_the_rate():
    assert [make_problem(PACKED, ACTIVITY, rate, 0).count for rate in (0.0, 0.5, 1.0)] == [0, 18, 36]
    assert make_problem(DENSE, Activity(), 0.5, 0).count == 36
    assert [active_count(ACTIVITY, rate, 0) for rate in (0.0, 0.5, 1.0)] == [0, 18, 36]
    assert active_count(Activity(), 0.5, 0) is None


def test_faults_are_found():
    problem, right = run("packed", 0.5)
    last = problem.workload.rows
    for change, message in (
        (lambda output: output.__setitem__((5, 3), output[5, 3] + 0.1), "largest error"),
        (lambda output: output.__setitem__((5, 3), np.nan), "largest error nan"),
        (lambda output: output.__setitem__((0, 0), 1.0), "row 0 of the output is not zero"),
        (lambda output: output.__setitem__((last + 31, 0), 1.0), "rows were written that nobody asked for"),
    ):
        output = np.array(right)
        change(output)
        fault = problem.fault(output, 1e-5)
        assert fault is not None and message in fault


def test_a_skipped_row_that_is_touched_in_place_is_a_fault():
    problem, output = run("scatter", 0.5)
    skipped = next(row for row in range(1, 37) if row not in problem.arrays["list"][: problem.count])
    output[skipped, 0] += 1
    assert "nobody asked for" in str(problem.fault(output, 1e-5))


def test_what_no_active_row_reads_is_nan():
    problem = make_problem(PACKED, ACTIVITY, 0.5, 0)
    source = problem.arrays["input"]
    assert np.isfinite(source[1 : problem.count + 1, :20]).all()
    assert np.isnan(source[problem.count + 1 :]).all() and np.isnan(source[1:, 20:]).all()
