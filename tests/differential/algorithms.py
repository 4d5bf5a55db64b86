"""Let one algorithm compute every convolution that it can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from lascompile.plan.candidate import Candidate
from lascompile.plan.choice import Chooser
from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.schedules.numerics import Numerics
from lascompile.target import parse_target
from lascompile.workload import Form

FAST = tuple(name for name, algorithm in ALGORITHMS.items() if algorithm.numerics is Numerics.FAST)


def possible(algorithm: str) -> bool:
    """True if this CPU has what it takes."""
    return ALGORITHMS[algorithm].features <= set(parse_target("llvm", "native").features)


@contextmanager
def forced(algorithm: str) -> Iterator[list[str]]:
    """Builds take `algorithm` wherever they may. Yields the names of the convolutions that it will have got."""
    chooses, taken = Chooser.choose, list[str]()

    def choose(
        self: Chooser, node: str, workloads: Sequence[Form], granularity: tuple[int, int] | None = None
    ) -> tuple[Candidate, list[Candidate]]:
        chosen, ranked = chooses(self, node, workloads, granularity)
        wanted = next((candidate for candidate in ranked if candidate.algorithm.name == algorithm), None)
        if wanted is None:
            return chosen, ranked
        taken.append(node)
        return wanted, ranked

    with patch.object(Chooser, "choose", choose):
        yield taken
