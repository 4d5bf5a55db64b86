from __future__ import annotations

import time
from threading import Barrier

import numpy as np
import pytest

from lascompile.bench.timing import Rounds, RunTimes, race


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
    return race([[runner] for runner in runners], Rounds(rounds=3, block=2, warm_up=1), clock=clock), "".join(log)


def test_times_are_those_of_each_contestant(raced):
    times, _ = raced
    for found, duration in zip(times, (1.0, 2.0, 4.0), strict=True):
        np.testing.assert_array_equal(found.calls_s, np.full((3, 2), duration))
        np.testing.assert_array_equal(found.rates_per_s, np.full(3, 1 / duration))


def test_blocks_are_interleaved_and_another_starts_each_round(raced):
    _, log = raced
    # Three untimed calls; then blocks of one untimed and two timed calls.
    assert log == "abc" + "aaabbbccc" + "bbbcccaaa" + "cccaaabbb"


def test_the_progress_is_told():
    seen = []
    race([[lambda: None]], Rounds(rounds=2, block=1, warm_up=0), lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)]


def test_statistics():
    latency = RunTimes.of([1.0] * 98 + [2.0, 10.0])
    assert (latency.runs, latency.min_s, latency.median_s, latency.p90_s) == (100, 1.0, 1.0, 1.0)
    assert latency.p99_s == pytest.approx(2.08)
    assert latency.mean_s == pytest.approx(1.1)
    assert latency.variation == pytest.approx(np.std([1.0] * 98 + [2.0, 10.0]) / 1.1)


def test_a_block_is_as_long_as_asked_for():
    clock, log = Clock(), []
    runners = [Runner("a", 1.0, clock, log), Runner("b", 30.0, clock, log)]
    times = race([[runner] for runner in runners], Rounds(rounds=2, block=1, warm_up=0, block_s=5.0), clock=clock)
    assert [found.calls_s.shape for found in times] == [(2, 5), (2, 1)]


def test_clients_call_at_the_same_time():
    together = Barrier(3)

    def call():
        together.wait(timeout=20)
        time.sleep(0.01)

    (found,) = race([[call] * 3], Rounds(rounds=2, block=4, warm_up=0))
    assert found.calls_s.shape == (2, 12)
    # One after the other, each of them would take 0.01 s at least.
    assert (found.rates_per_s <= 3 / 0.01).all() and found.calls_s.min() >= 0.01


def test_each_client_has_its_own_call():
    called = []
    race([[lambda number=number: called.append(number) for number in range(3)]], Rounds(rounds=1, block=2, warm_up=0))
    assert sorted(called) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_what_a_client_raises_is_passed_on():
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        race([[lambda: None, fail]], Rounds(rounds=1, block=1, warm_up=0))
