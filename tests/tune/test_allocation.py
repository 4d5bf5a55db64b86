"""Which task gets the next trials."""

from __future__ import annotations

from lascompile.records import Failure, Latency, Record, Versions
from lascompile.tune.allocation import choose_task
from lascompile.tune.progress import Progress, TaskProgress
from tests.tune.tiny import DENSE, PACKED, task


def record(of, latency_s):
    outcome = {"failure": Failure("run")} if latency_s is None else {"latency": Latency.of([latency_s])}
    return Record(of.record_task, "direct", "", {}, Versions("0", "0", "0"), **outcome)


def progress(*histories, calls=(1, 1)):
    tasks = [TaskProgress(task(workload, count)) for workload, count in zip((DENSE, PACKED), calls, strict=True)]
    for state, latencies in zip(tasks, histories, strict=True):
        for latency in latencies:
            state.add(record(state.task, latency), is_default=state.trials == 0, number=1)
    return Progress(tasks, budget=100)


def chosen(*histories, calls=(1, 1)):
    given = progress(*histories, calls=calls)
    found = choose_task(given)
    return None if found is None else given.tasks.index(found)


def test_each_is_tried_once_the_costliest_first():
    assert chosen([], []) == 0  # half of the other's rows are active
    assert chosen([], [], calls=(1, 3)) == 1
    assert chosen([1e-3], []) == 1


def test_then_the_one_that_the_network_spends_most_in():
    assert chosen([2e-3], [1e-3]) == 0
    assert chosen([2e-3], [1e-3], calls=(1, 3)) == 1


def test_one_that_finds_nothing_waits():
    assert chosen([2e-3] * 33, [1e-3]) == 1


def test_one_that_just_gained_goes_on():
    assert chosen([4e-3] * 24 + [2e-3] * 8, [2e-3] * 32) == 0


def test_given_up_and_exhausted():
    assert chosen([None] * 16, [1e-9]) == 1
    given = progress([1e-3], [1e-3])
    for state in given.tasks:
        state.exhausted = True
    assert choose_task(given) is None
