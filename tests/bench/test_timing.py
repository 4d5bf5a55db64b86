from __future__ import annotations

import numpy as np
import pytest

from lascompile.bench.timing import Latency, Plan, race


class Runner:
    """Takes a fixed time on a clock of its own, and writes down who ran when."""

    def __init__(self, name, duration, clock, log):
        self.name, self.duration, self.clock, self.log = name, duration, clock, log

    def __call__(self):
        self.clock.now += self.duration
        self.log.append(self.name)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def raced():
    clock, log = Clock(), []
    runners = [Runner("a", 1.0, clock, log), Runner("b", 2.0, clock, log), Runner("c", 4.0, clock, log)]
    return race(runners, Plan(rounds=3, block=2, warm_up=1), clock=clock), "".join(log)


def test_times_are_those_of_each_contestant(raced):
    times, _ = raced
    assert times.shape == (3, 3, 2)
    np.testing.assert_array_equal(times, np.broadcast_to([[[1.0]], [[2.0]], [[4.0]]], (3, 3, 2)))


def test_blocks_are_interleaved_and_another_starts_each_round(raced):
    _, log = raced
    # Three untimed calls; then blocks of one untimed and two timed calls.
    assert log == "abc" + "aaabbbccc" + "bbbcccaaa" + "cccaaabbb"


def test_the_progress_is_told():
    seen = []
    race([lambda: None], Plan(rounds=2, block=1, warm_up=0), lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)]


def test_statistics():
    latency = Latency.of([1.0] * 98 + [2.0, 10.0])
    assert (latency.runs, latency.min_s, latency.median_s, latency.p90_s) == (100, 1.0, 1.0, 1.0)
    assert latency.p99_s == pytest.approx(2.08)
    assert latency.mean_s == pytest.approx(1.1)
    assert latency.variation == pytest.approx(np.std([1.0] * 98 + [2.0, 10.0]) / 1.1)
