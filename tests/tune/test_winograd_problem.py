"""Problems over tiles catch what a wrong kernel does, and find nothing wrong with a right one."""

from __future__ import annotations

import pickle
from functools import cache

import numpy as np
import pytest

from lascompile.schedules.cpu.algorithms import ALGORITHMS, WINOGRAD2, WINOGRAD4, Algorithm
from lascompile.schedules.cpu.winograd import WinogradDecisions
from lascompile.sites.activity import Activity
from lascompile.target import parse_target
from lascompile.tune.problem import SENTINEL
from lascompile.tune.winograd_problem import WinogradProblem, make_problem
from lascompile.workload import ROW_SLACK, Epilogue, WinogradWorkload
from tests.kernels.calling import Kernel
from tests.tune.tiled import Site

RELU = (("relu",),)
DENSE, PACKED = Site(patch=0), Site(m=4, reads_packed=True, packs=True, patch=5)
IN_PLACE = Epilogue(RELU, add=True, after=RELU)

CASES: dict[str, tuple[WinogradWorkload, Activity]] = {
    "dense": (DENSE.workload, DENSE.activity),
    "dense_add": (DENSE.with_epilogue(Epilogue(add=True)), DENSE.activity),
    "gather": (Site().workload, Site().activity),
    "packed": (PACKED.workload, PACKED.activity),
    "packed_add": (PACKED.with_epilogue(Epilogue(RELU, add=True)), PACKED.activity),
    "batch": (Site(m=4, batch=3).workload, Site(m=4, batch=3).activity),
    "in_place": (Site().with_epilogue(IN_PLACE, in_place=True), Site().activity),
    "gated": (Site(groups=2).with_epilogue(Epilogue(RELU, 2, add=True, after=RELU)), Site(groups=2).activity),
    "otherwise": (Site(groups=2).with_epilogue(Epilogue(gate_groups=2, otherwise=True)), Site(groups=2).activity),
}


@cache
def kernel(workload: WinogradWorkload) -> tuple[Algorithm, WinogradDecisions, Kernel]:
    """Compiled once for all rates."""
    algorithm = {2: WINOGRAD2, 4: WINOGRAD4}[workload.m]
    decisions = algorithm.decide(workload, parse_target("llvm"), 1)
    return algorithm, decisions, Kernel(algorithm.schedule(workload, decisions))


def run(name: str, rate: float) -> tuple[WinogradProblem, np.ndarray]:
    workload, activity = CASES[name]
    problem = make_problem(workload, activity, rate, seed=1)
    algorithm, decisions, call = kernel(workload)
    arrays = dict(zip(workload.arguments(), problem.arguments(algorithm, decisions), strict=True))
    return problem, call(arrays)["output"]


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", CASES)
def test_a_right_kernel_has_no_fault(name: str, rate: float) -> None:
    problem, output = run(name, rate)
    assert problem.fault(output, ALGORITHMS[f"winograd{problem.workload.m}"].tolerance / 5) is None
    assert problem.expected.shape == (len(problem.stored_at), problem.workload.out_channels)


def test_counts_follow_the_rate() -> None:
    workload, activity = Site(m=2, size=(8, 8), patch=4).workload, Site(m=2, size=(8, 8), patch=4).activity
    assert [make_problem(workload, activity, rate, 0).count for rate in (0.0, 0.5, 1.0)] == [0, 8, 16]
    assert make_problem(*CASES["dense"], 0.5, 0).count == DENSE.workload.tiles


def test_each_pixel_that_is_computed_is_stored_once() -> None:
    for name in ("gather", "packed"):
        problem = make_problem(*CASES[name], 0.5, 0)
        assert len(np.unique(problem.stored_at)) == len(problem.stored_at) > problem.count
    assert sorted(problem.stored_at) == [*range(1, len(problem.stored_at) + 1)]  # packed


def test_faults_are_found() -> None:
    problem, right = run("gather", 0.5)
    slack, stored = problem.workload.output_rows + 1, problem.stored_at
    skipped = np.setdiff1d(np.arange(1, slack), stored)[0]
    for row, value, message in (
        (stored[0], 0.1, "largest error"),
        (stored[-1], np.nan, "largest error nan"),
        (0, 1.0, "row 0 of the output is not zero"),
        (skipped, 1.0, "rows were written that nobody asked for"),
        (slack + 1, 1.0, "rows were written that nobody asked for"),
    ):
        output = np.array(right)
        output[row, 3] += value
        fault = problem.fault(output, 1e-5)
        assert fault is not None and message in fault
    output = np.array(right)
    output[slack] = 0
    assert problem.fault(output, 1e-5) is None


def test_row_0_in_place_is_left_alone() -> None:
    problem, output = run("in_place", 0.5)
    assert (problem.arrays["output"][0] == 0).all()
    output[0, 0] = 1
    assert "row 0" in str(problem.fault(output, 1e-5))


def test_what_no_active_tile_reads_is_nan_and_what_lies_behind_leads_nowhere() -> None:
    problem = make_problem(*CASES["gather"], 0.5, 0)
    source, read = problem.arrays["input"], np.unique(problem.read)
    assert np.isfinite(source[read, :12]).all() and np.isnan(source[1:, 12:]).all()
    assert np.isnan(np.delete(source, np.union1d(read, 0), axis=0)).all()
    table, slack = problem.arrays["output_table"], problem.workload.output_rows + 1
    assert (table[problem.count :][: ROW_SLACK - 1] == slack).all()
    assert (table[problem.count + ROW_SLACK - 1 :] > slack).all()
    assert (problem.arrays["output"] == SENTINEL).all()


def test_an_activity_with_tiles_can_be_sent_and_hashed() -> None:
    _, activity = CASES["packed"]
    sent = pickle.loads(pickle.dumps(activity))
    assert sent == activity and hash(sent) == hash(activity)
