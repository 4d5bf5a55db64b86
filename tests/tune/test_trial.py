"""Real trials: a kernel is built, compared with the reference, timed; and what may go wrong, does."""

from __future__ import annotations

import ctypes
import os
from dataclasses import replace
from pathlib import Path

import pytest
import tvm
from tvm.s_tir.meta_schedule.runner import EvaluatorConfig

from lascompile.records import WRONG, RecordStore
from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.target import parse_target
from lascompile.tune import trial
from lascompile.tune.builder import Builder
from lascompile.tune.runner import LocalRunner, Outcome
from lascompile.tune.tasks import TuningTask
from lascompile.tune.trial import allocate, check_rates, evaluate, timed_rates
from lascompile.tune.tuner import Budget, Tuner, job_of
from lascompile.workload import Epilogue
from tests.tune.tiled import Site
from tests.tune.tiny import PACKED, SCATTER, setting, task


@pytest.fixture(scope="module")
def builder():
    made = Builder(parse_target("llvm"), processes=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def runner():
    made = LocalRunner(timeout_s=20, repeats=3)
    yield made
    made.close()


@pytest.fixture(scope="module")
def job():
    tuned = task(PACKED)
    return job_of(tuned, tuned.algorithm.space(PACKED, tuned.setting.target, 1).default)


@pytest.fixture(scope="module")
def library(builder, job) -> Path:
    [built] = builder.build([job])
    assert built.library is not None
    return built.library


def measured(runner, *jobs) -> list[Outcome]:
    return [outcome for _, outcome in sorted(runner.measure(jobs), key=lambda pair: pair[0])]


def test_tiny_tuning_end_to_end(builder, runner, tmp_path):
    store = RecordStore(tmp_path)
    progress = Tuner([task(PACKED), task(SCATTER)], store, Budget(6)).run(builder, runner)
    records = [item.value for item in store.records()]
    assert progress.trials == len(records) == 6 and not progress.failed
    assert all(record.latency is not None and record.latency.repeats == 1 for record in records)


@pytest.mark.parametrize("site", [Site(patch=0), Site(4, reads_packed=True, packs=True, patch=5)], ids=["2", "4"])
def test_kernels_over_tiles(builder, runner, tmp_path, site):
    algorithm = ALGORITHMS[f"winograd{site.m}"]
    tuned = TuningTask(site.workload, algorithm, site.activity, 1, setting(), row_form=PACKED)
    progress = Tuner([tuned], RecordStore(tmp_path), Budget(2)).run(builder, runner)
    assert progress.trials == 2 and not progress.failed


def test_the_process_that_measures_asks_for_tile_registers(job, monkeypatch):
    """Nobody else does so there: without the permission, the first tile instruction would kill it."""
    asked = []
    monkeypatch.setattr(trial, "permit_tiles", lambda: asked.append("permit_tiles"))
    allocate(replace(job, threads=3), tvm.cpu())
    assert asked == ["permit_tiles"]


def test_a_library_is_told_on_how_many_threads_to_run(builder, job):
    tuned = task(PACKED)
    job = replace(job, decisions=tuned.algorithm.space(PACKED, tuned.setting.target, 2).default)
    [built] = builder.build([job])
    module, pool = tvm.runtime.load_module(str(built.library)), ctypes.CDLL(str(built.library))
    for threads in (1, 2):
        evaluate(module, tvm.cpu(), EvaluatorConfig(1, 1, 0, False), allocate(replace(job, threads=threads), tvm.cpu()))
        assert pool.lascompile_pool_workers() == min(threads, len(os.sched_getaffinity(0))) - 1


def test_rates(job):
    """One rate alone would choose tiles that just divide its rows."""
    assert timed_rates(job) == pytest.approx((0.4, 0.5, 0.6))
    assert check_rates(job) == (0.0, 1.0, *timed_rates(job))
    assert timed_rates(replace(job, rate=0.9)) == pytest.approx((0.8, 0.9, 1.0))
    full = replace(job, rate=1.0)
    assert timed_rates(full) == (1.0,) and check_rates(full) == (0.0, 1.0)
    dense = replace(full, workload=replace(job.workload, counted=False))
    assert timed_rates(dense) == check_rates(dense) == (1.0,)


def test_decisions_that_make_no_schedule_fail_to_build(builder, job):
    [built] = builder.build([replace(job, decisions=replace(job.decisions, unroll=7))])
    assert built.library is None and built.failure.reason == "build"
    assert "unroll is 7, but it has to divide 20" in built.failure.error


def test_a_fast_wrong_kernel_fails(runner, job, library):
    """It was built without the activation that it is asked for."""
    other = replace(job, workload=replace(job.workload, epilogue=Epilogue(before=(("relu",),))))
    right, wrong = measured(runner, (job, library), (other, library))
    assert right.failure is None and right.latency is not None
    assert wrong.latency is None and wrong.failure.reason == WRONG
    assert wrong.failure.error.startswith("largest error")


def test_a_kernel_that_crashes_or_cannot_be_loaded_fails_alone(runner, job, library, tmp_path):
    (tmp_path / "broken.so").write_text("no library")
    broken, right = measured(runner, (job, tmp_path / "broken.so"), (job, library))
    assert broken.failure.reason == "run" and "broken.so" in broken.failure.error
    assert right.latency is not None


def test_timeouts(builder, job, library):
    hasty = Builder(parse_target("llvm"), processes=1, timeout_s=0.01)
    try:
        [built] = hasty.build([job])
    finally:
        hasty.close()
    assert built.failure.reason == "timeout" and "not built within 0.01 s" in built.failure.error
    # So many runs that they take longer than any test.
    runner = LocalRunner(timeout_s=30, repeats=10_000_000)
    runner._runner.pool._timeout = 0.5
    try:
        [outcome] = measured(runner, (job, library))
    finally:
        runner.close()
    assert outcome.failure.reason == "timeout" and "no end within" in outcome.failure.error
