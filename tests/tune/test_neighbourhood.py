"""The neighbourhood: one field at a time, every field in its turn, nothing that is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lascompile.schedules.space import Space
from lascompile.tune.neighbourhood import Neighbourhood


@dataclass(frozen=True)
class Pair:
    rows: int
    width: int


SPACE = Space.around(Pair(4, 2), {"rows": range(1, 9), "width": (1, 2, 3)}, lambda pair: pair.rows * pair.width < 20)


def test_one_field_changes_and_fields_take_turns():
    rows, width = Neighbourhood(SPACE).moves(Pair(4, 2), ())
    assert {(pair.rows, pair.width) for pair in rows} == {(n, 2) for n in range(1, 9) if n != 4}
    assert width == [Pair(4, 1), Pair(4, 3)]


def test_every_other_round_steps_to_the_next_values():
    near = Neighbourhood(SPACE)
    list(near.moves(Pair(4, 2), ()))
    assert next(near.moves(Pair(4, 2), {Pair(5, 2)})) == [Pair(3, 2), Pair(2, 2)]


def test_what_is_known_or_not_allowed_is_left_out():
    [rows, _] = Neighbourhood(SPACE).moves(Pair(5, 3), {Pair(1, 3)})
    assert [asdict(pair)["rows"] for pair in rows] == [2, 3, 4, 6]
