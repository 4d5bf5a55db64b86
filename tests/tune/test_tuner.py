"""The loop: its budget is exact, it goes on where it ended, and what fails is on record."""

from __future__ import annotations

from functools import partial

import pytest

from lascompile.records import RecordStore
from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.tune.tasks import TuningTask
from lascompile.tune.tuner import Budget, Tuner
from tests.tune import tiny
from tests.tune.tiled import Site
from tests.tune.tiny import DENSE, FIXED, PACKED, StubBuilder, StubRunner, model_latency, setting

task = partial(tiny.task, target=FIXED)


@pytest.fixture
def store(tmp_path):
    return RecordStore(tmp_path)


def tasks():
    return [task(PACKED, calls=3), task(DENSE)]


def tune(store, trials, builder=None, runner=None, of=None, **given):
    tuner = Tuner(of or tasks(), store, Budget(trials, given.pop("time_limit_s", None)), **given)
    return tuner.run(builder or StubBuilder(), runner or StubRunner())


@pytest.mark.parametrize("trials", [1, 2, 11, 32])
def test_budget_is_exact(store, trials):
    progress = tune(store, trials)
    assert progress.trials == len(list(store.records())) == trials


def test_a_resumed_run_ends_where_the_first_would_have(store):
    tune(store, 13)
    resumed = Tuner(tasks(), store, Budget(20))
    assert resumed.progress.trials == 13
    resumed.run(StubBuilder(), StubRunner())
    assert len(list(store.records())) == 20
    assert tune(store, 20).trials == 20 and len(list(store.records())) == 20
    tried = [(item.value.task.workload, *item.value.decisions.items()) for item in store.records()]
    assert len(set(tried)) == 20


def test_a_resumed_run_knows_what_was_found(store):
    first = tune(store, 24)
    again = Tuner(tasks(), store, Budget(24)).progress
    assert [(one.best_s, one.untuned_s, one.trials) for one in again.tasks] == [
        (one.best_s, one.untuned_s, one.trials) for one in first.tasks
    ]
    assert again.gain == first.gain >= 1


def test_a_resumed_run_knows_tuples_again(store):
    """On record they are lists."""
    site = Site(patch=0)
    tiled = [TuningTask(site.workload, ALGORITHMS["winograd2"], site.activity, 1, setting(target=FIXED))]
    runner = StubRunner(lambda decisions: 1e-4 * sum(decisions.tile_heights) / decisions.width)
    first = tune(store, 12, runner=runner, of=tiled)
    again = Tuner(tiled, store, Budget(24))
    assert again.progress.tasks[0].untuned_s == first.tasks[0].untuned_s is not None
    again.run(StubBuilder(), runner)
    tried = [str(item.value.decisions) for item in store.records()]
    assert len(set(tried)) == len(tried) == 24


def test_a_run_that_is_stopped_ends_behind_the_trial_in_flight(store):
    made = []
    tuner = Tuner([task()], store, Budget(32))
    tuner.run(StubBuilder(), StubRunner(after=lambda: made.append(1)), is_stopped=lambda: len(made) >= 5)
    # The stand-in counts a trial when the next one is asked for.
    assert len(list(store.records())) == 6


def test_a_run_that_is_killed_loses_what_was_not_measured(store):
    made = iter(range(100))

    def stop():
        if next(made) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(store, 32, runner=StubRunner(after=stop))
    assert len(list(store.records())) == 7
    tune(store, 32)
    assert len(list(store.records())) == 32


def test_failed_trials_are_on_record_and_count(store):
    progress = tune(store, 20, StubBuilder(fails=lambda decisions: decisions.tile_rows % 2 == 0))
    records = [item.value for item in store.records()]
    failed = [record for record in records if record.failure]
    assert len(records) == 20 and 0 < len(failed) == progress.failed < 20
    assert {record.failure.reason for record in failed} == {"build"}
    assert all(record.decisions["tile_rows"] % 2 == 0 for record in failed)


def test_a_task_that_always_fails_does_not_take_all(store):
    tune(store, 60, StubBuilder(fails=lambda decisions: True))
    assert len(list(store.records())) <= 2 * 24


def test_it_ends_where_spaces_end(store):
    small = task(type(PACKED)(1, 1, 1, 1, 4, 4, gathers=False, counted=False, scatters=False))
    progress = tune(store, 10_000, of=[small])
    space = small.algorithm.space(small.workload, small.setting.target, 1)
    assert progress.trials == len(list(space)) and progress.tasks[0].exhausted


def test_time_limit(store):
    now = iter(range(10_000))
    progress = tune(store, 500, time_limit_s=60, clock=lambda: float(next(now)))
    assert 0 < progress.trials < 60


def test_no_trial_begins_when_the_time_is_over_before_all_are_built(store):
    now = [0.0]

    class SlowBuilder(StubBuilder):
        def build(self, jobs):
            now[0] += 61
            return super().build(jobs)

    assert tune(store, 500, SlowBuilder(), time_limit_s=60, clock=lambda: now[0]).trials == 0
    assert tune(store, 500, SlowBuilder(), time_limit_s=62, clock=lambda: now[0]).trials > 0


def test_it_tells_how_far_it_is(store):
    seen = []
    Tuner(tasks(), store, Budget(12)).run(
        StubBuilder(), StubRunner(), lambda progress: seen.append((progress.trials, progress.left_s, progress.running))
    )
    assert [trials for trials, _, _ in seen] == sorted(trials for trials, _, _ in seen)
    assert seen[-1][0] == 12 and seen[-1][1] == 0 and seen[-1][2] is None


def test_it_finds_a_better_schedule(store):
    progress = tune(store, 48, of=[task(PACKED)])
    [state] = progress.tasks
    assert state.untuned_s == pytest.approx(
        model_latency(state.task.algorithm.space(PACKED, state.task.setting.target, 1).default)
    )
    assert state.best_s < state.untuned_s
    assert progress.shares() == [1.0]
