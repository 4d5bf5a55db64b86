"""Let one algorithm compute every convolution that it can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from lascompile.plan.choice import Choice, Chooser
from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.schedules.numerics import Numerics
from lascompile.sites.site import Site
from lascompile.target import parse_target

FAST = tuple(name for name, algorithm in ALGORITHMS.items() if algorithm.numerics is Numerics.FAST)


def possible(algorithm: str) -> bool:
    """True if this CPU has what it takes."""
    return ALGORITHMS[algorithm].features <= set(parse_target("llvm", "native").features)


@contextmanager
def forced(algorithm: str) -> Iterator[list[str]]:
    """Builds take `algorithm` wherever they may. Yields the names of the convolutions that it will have got."""
    chooses, taken = Chooser.choose, list[str]()

    def choose(self: Chooser, site: Site) -> Choice:
        choice = chooses(self, site)
        wanted = next((candidate for candidate in choice.ranked if candidate.algorithm.name == algorithm), None)
        if wanted is None:
            return choice
        taken.append(site.node)
        return replace(choice, candidate=wanted)

    with patch.object(Chooser, "choose", choose):
        yield taken
