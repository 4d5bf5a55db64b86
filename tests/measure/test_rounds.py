"""One pass: who is measured when, and what becomes of a block that was disturbed."""

from __future__ import annotations

import pytest

from lascompile.measure.rounds import Rhythm, take_rounds


def run(timers, rounds=4, seed=(0, 1), waited=lambda: 0.0):
    ticks = iter(range(10**6))
    return take_rounds(timers, rounds, seed, waited, clock=lambda: 1.0 * next(ticks), sleep=lambda _: None)


def timer(order, name, seconds=1e-3):
    def block():
        order.append(name)
        return [seconds] * 5

    return block


def test_cells_take_turns_in_an_order_that_changes_and_that_the_seed_fixes():
    orders = []
    for seed in ((0, 1), (0, 1), (0, 2)):
        order = []
        seconds = run([timer(order, name, 1e-3 * (name + 1)) for name in range(5)], seed=seed)
        assert [len(runs) for runs in seconds] == [20] * 5
        assert [set(runs) for runs in seconds] == [{1e-3 * (name + 1)} for name in range(5)]
        rounds = [order[start : start + 5] for start in range(0, 20, 5)]
        assert all(sorted(turn) == list(range(5)) for turn in rounds)
        assert len(set(map(tuple, rounds))) > 1
        orders.append(order)
    assert orders[0] == orders[1] != orders[2]


def test_a_turn_that_was_disturbed_is_taken_again():
    waits, order = iter([0.0, 0.9, 0.9, 0.9]), []
    assert run([timer(order, "a")], rounds=1, waited=lambda: next(waits)) == [[1e-3] * 5]
    assert len(order) == 2


@pytest.mark.parametrize("runs", [1, 3, 5, 7, 30, 31])
def test_a_rhythm_has_as_many_runs_as_are_wanted(runs):
    rhythm = Rhythm.of(runs)
    assert runs <= rhythm.rounds * rhythm.block < runs + rhythm.rounds and rhythm.block <= 5
