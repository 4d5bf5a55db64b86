"""Where the choices of a drawn network come from: a seed, or hypothesis, which can shrink them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Source(Protocol):
    """Makes choices; the first of several is the simplest."""

    def integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        ...

    def choice(self, values: Sequence[T]) -> T:
        """One of `values`."""
        ...

    def chance(self, percent: int) -> bool:
        """True in `percent` of all draws."""
        ...


class SeededSource:
    """Choices that follow from a seed."""

    def __init__(self, seed: int) -> None:
        """Begin anew."""
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return self._random.randint(low, high)

    def choice(self, values: Sequence[T]) -> T:
        """One of `values`."""
        return self._random.choice(values)

    def chance(self, percent: int) -> bool:
        """True in `percent` of all draws."""
        return self._random.randrange(100) < percent


class DrawnSource:
    """Choices that hypothesis makes, and shrinks towards the first."""

    def __init__(self, draw: st.DrawFn) -> None:
        """Draw by `draw`."""
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return self._draw(st.integers(low, high))

    def choice(self, values: Sequence[T]) -> T:
        """One of `values`."""
        return values[self._draw(st.integers(0, len(values) - 1))]

    def chance(self, percent: int) -> bool:
        """True in `percent` of all draws."""
        return self._draw(st.integers(0, 99)) >= 100 - percent
