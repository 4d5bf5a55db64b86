"""Blocks of calls that are run again if they were disturbed."""

from __future__ import annotations

import time

from lascompile.bench.undisturbed import CalmRounds, take_turns


class Contestant:
    """Counts its calls; each takes so long."""

    def __init__(self, duration_s: float) -> None:
        self.duration_s, self.calls = duration_s, 0

    def __call__(self, calls: int) -> list:
        return [self.run] * calls

    def run(self) -> None:
        self.calls += 1
        time.sleep(self.duration_s)


def test_each_round_has_a_block_of_each():
    first, second = Contestant(1e-4), Contestant(4e-4)
    short, long = take_turns([first, second], CalmRounds(rounds=3, block=2), waited_s=lambda: 0.0)
    assert first.calls == second.calls == 3 * 3
    assert short.medians_s.shape == (3,) and (short.medians_s >= 1e-4).all() and (long.medians_s >= 4e-4).all()
    assert (short.disturbed, long.disturbed) == (0, 0)


def test_a_disturbed_block_is_run_again():
    waits = iter([0.0, 1.0, 1.0, 1.0])  # before and after the first attempt, and the second
    contestant = Contestant(1e-4)
    (result,) = take_turns([contestant], CalmRounds(rounds=1, block=2), waited_s=lambda: next(waits))
    assert contestant.calls == 6 and result.disturbed == 0


def test_where_all_attempts_are_disturbed_it_is_said():
    waited = iter(range(100))
    contestant = Contestant(1e-4)
    (result,) = take_turns([contestant], CalmRounds(rounds=1, block=1, attempts=3), waited_s=lambda: next(waited))
    assert contestant.calls == 6 and result.disturbed == 1
    assert result.medians_s[0] >= 1e-4


def test_long_calls_are_not_repeated():
    contestant = Contestant(3e-3)
    take_turns([contestant], CalmRounds(rounds=1, block=50), waited_s=lambda: 0.0)
    assert contestant.calls == 2
