"""Blocks of timed runs: which of them counts."""

from __future__ import annotations

import math

import pytest

from lascompile.tune.calm import Patience, TimedBlock, find_calm_block, run_calm_block


def run(blocks, waited=lambda: 0.0, tick=0.01):
    """Each look at the clock takes a tick."""
    ticks, left = iter(range(10**6)), iter(blocks)
    return run_calm_block(lambda: next(left), waited, clock=lambda: tick * next(ticks), sleep=lambda _: None)


def test_a_block_that_was_left_alone_counts():
    assert run([[1.0, 1.1, 1.2]]) == [1.0, 1.1, 1.2]


def test_a_block_in_which_threads_had_to_wait_is_run_again():
    waits = iter([0.0, 0.9, 0.9, 0.9])
    assert run([[1.0], [2.0]], lambda: next(waits)) == [2.0]


def test_a_block_whose_runs_differ_is_run_again():
    calm = [1.0, 1.1, 1.1, 1.2, 9.0]
    assert run([[1.0, 2.0, 2.0, 2.0, 2.0], calm]) == calm


def test_of_blocks_that_are_all_disturbed_the_fastest_counts():
    waited = iter(range(100))
    assert run([[5.0], [3.0], *[[4.0]] * 6], lambda: 10.0 * next(waited)) == [3.0]


@pytest.mark.parametrize(("tick", "blocks"), [(0.7, 2), (1.9, 2), (2.1, 1), (60.0, 1)])
def test_two_seconds_are_enough(tick, blocks):
    """A kernel that takes long is not run eight times thirty times."""
    waited, left = iter(range(100)), iter([[5.0], [4.0], [3.0], [2.0]])
    assert run(left, lambda: 1e3 * next(waited), tick) == [[5.0], [4.0]][blocks - 1]


def test_how_much_patience_there_is():
    log, now, waited = [], [0.0], iter(range(100))

    def block():
        now[0] += 10.0
        log.append("block")
        return [1.0, 9.0, 9.0]

    def find(waited_s, patience):
        return find_calm_block(
            block, waited_s, patience, lambda: log.append("prepare"), clock=lambda: now[0], sleep=log.append
        )

    endless = Patience(attempts=3, pause_s=0.25, limit_s=math.inf, spread=math.inf)
    assert find(lambda: 1e3 * next(waited), endless) == TimedBlock([1.0, 9.0, 9.0], False)
    assert log == ["prepare", "block", 0.25, "prepare", "block", 0.25, "prepare", "block"]
    assert find(lambda: 0.0, endless) == TimedBlock([1.0, 9.0, 9.0], True)
