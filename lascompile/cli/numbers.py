"""Numbers on the command line, with bounds: one that no machine could serve is a slip of the finger."""

from __future__ import annotations

import argparse
from collections.abc import Callable

MOST_THREADS = 1024
MOST_IMAGES = 65_536
HIGHEST_SEED = 2**63 - 1
"""The highest that all generators of random numbers take."""


def at_most(highest: int) -> Callable[[str], int]:
    """A type for argparse: a whole number up to `highest`; the lowest is for the command to say."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"invalid int value: {text[:40]!r}") from None
        if value > highest:
            raise argparse.ArgumentTypeError(f"{text[:40]} is too large, at most {highest} is possible")
        return value

    return number


threads = at_most(MOST_THREADS)
images = at_most(MOST_IMAGES)
seed = at_most(HIGHEST_SEED)
