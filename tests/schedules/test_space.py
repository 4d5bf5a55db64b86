"""Spaces of decisions: positions, what is allowed, and the default that always is."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lascompile.schedules.space import Space


@dataclass(frozen=True)
class Pair:
    a: int
    b: bool


SPACE = Space.around(Pair(5, True), {"a": [1, 2, 3], "b": [False, True]}, lambda pair: pair.a < 3 or pair.b)


def test_default_belongs_to_it_whatever_else_is_allowed():
    assert SPACE.values == {"a": (1, 2, 3, 5), "b": (False, True)}
    strict = Space.around(Pair(5, True), {"a": [1], "b": [False]}, lambda pair: False)
    assert list(strict) == [Pair(5, True)]


def test_position_is_the_inverse_of_at():
    points = list(SPACE)
    assert Pair(3, False) not in points and Pair(3, True) in points
    assert [SPACE.at(SPACE.position(point)) for point in points] == points


@pytest.mark.parametrize("other", [Pair(3, False), Pair(9, True), "a pair"])
def test_what_it_does_not_hold_has_no_position(other):
    assert SPACE.position(other) is None


def test_a_field_without_values_keeps_its_default():
    assert list(Space.around(Pair(1, True), {"a": [1, 2]}, lambda pair: True)) == [Pair(1, True), Pair(2, True)]


def test_values_of_no_field_are_refused():
    with pytest.raises(ValueError, match="Pair has no field c, only a, b"):
        Space.around(Pair(1, True), {"a": [1], "c": [2]}, lambda pair: True)
