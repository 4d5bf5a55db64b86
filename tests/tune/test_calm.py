"""Blocks of timed runs: which of them counts."""

from __future__ import annotations

from lascompile.tune.calm import run_calm_block


def run(blocks, waited=lambda: 0.0):
    ticks, left = iter(range(10**6)), iter(blocks)
    return run_calm_block(lambda: next(left), waited, clock=lambda: 1.0 * next(ticks), sleep=lambda _: None)


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
