"""Where a search looks around its fastest decisions: one field at a time, every field in its turn."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from typing import Any

from lascompile.schedules.space import Space


class Neighbourhood:
    """The decisions that differ in one field from given ones.

    Fields take turns, since a cost model would never look at a field of which it has seen one value; and every other
    round of turns stays with the values next to the given one, which go down a slope that the model has not learnt.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._turns = itertools.cycle(itertools.product((False, True), space.values))

    def moves(self, leader: Any, known: Collection[Any]) -> Iterator[list[Any]]:
        """A turn for each field: the decisions around `leader` to choose one of, without those in `known`."""
        for is_step, name in itertools.islice(self._turns, len(self._space.values)):
            near = [item for item in self._space.neighbours(leader, name) if item not in known]
            yield self._nearest(leader, name, near) if is_step else near

    def _nearest(self, leader: Any, name: str, near: list[Any]) -> list[Any]:
        values = self._space.values[name]
        own = values.index(getattr(leader, name))
        return sorted(near, key=lambda item: abs(values.index(getattr(item, name)) - own))[:2]
