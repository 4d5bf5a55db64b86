"""Weights on their way from memory while others are used.

At batch 1 each weight is used once an inference. A kernel asks for its own weights before it comes to them, and before
it ends, for the first ones of the kernel that runs next: memory is never idle while cores multiply.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Upcoming:
    """The weights (uint16) of the kernel that runs next, of which each walker asks for its part before it is done.

    Attributes:
        shape: Their shape.
        walkers: Parts that the next kernel's walkers share them out in.
        lines: Cache lines of a part that are asked for.
    """

    shape: tuple[int, ...]
    walkers: int
    lines: int


@dataclass(frozen=True)
class Stream:
    """What a kernel asks for; by default its own weights alone.

    Attributes:
        fetched: Cache lines of each walker's own weights that the kernel before has asked for.
        upcoming: The next kernel's weights, if it is known.
    """

    fetched: int = 0
    upcoming: Upcoming | None = None


OWN_WEIGHTS = Stream()
