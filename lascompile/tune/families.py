"""What can be tuned: the one table that joins an algorithm with what the search has to know of it.

A new kernel = a space and its features (`schedules/`), an algorithm (`lascompile.plan.algorithms`), and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lascompile.plan.algorithms import BF16X3, DIRECT, WINOGRAD2, WINOGRAD4, Algorithm
from lascompile.schedules.cpu.bf16x3_space import bf16x3_features
from lascompile.schedules.cpu.row_conv_space import row_conv_features
from lascompile.schedules.cpu.winograd_space import winograd_features
from lascompile.schedules.numerics import Numerics
from lascompile.schedules.space import Space
from lascompile.target import Target
from lascompile.tune import conv_problem, winograd_problem
from lascompile.tune.activity import Activity
from lascompile.workload import Workload


class Problem(Protocol):
    """One call of a kernel; see `lascompile.tune.problem.ConvolutionProblem`."""

    def arguments(self, algorithm: Algorithm, decisions: Any) -> list[np.ndarray]:
        """All buffers in the kernel's order; the last one is written."""
        ...

    def fault(self, output: np.ndarray, tolerance: float) -> str | None:
        """What is wrong with a kernel's output, or None."""
        ...


@dataclass(frozen=True)
class Family:
    """An algorithm that can be tuned.

    Attributes:
        algorithm: What computes a workload, given decisions.
        features: What the cost model is told of decisions; as many numbers for every workload.
        make_problem: The argument maker: buffers for a workload whose rows are active as an `Activity` says, at an
            activation rate, by a seed; and what has to come out.
        tolerance: The error that is allowed, as a share of the largest number in the result. A wrong kernel misses it
            by orders of magnitude; rounding stays well below it.
    """

    algorithm: Algorithm
    features: Callable[[Any, Any, Target, float], list[float]]
    make_problem: Callable[[Any, Activity, float, int], Problem]
    tolerance: float

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return self.algorithm.name

    def space(self, workload: Any, target: Target, threads: int) -> Space:
        """Which decisions there are."""
        return self.algorithm.space(workload, target, threads)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(DIRECT, row_conv_features, conv_problem.make_problem, tolerance=1e-5),
        Family(BF16X3, bf16x3_features, conv_problem.make_problem, tolerance=2e-4),
        Family(WINOGRAD2, winograd_features, winograd_problem.make_problem, tolerance=3e-5),
        Family(WINOGRAD4, winograd_features, winograd_problem.make_problem, tolerance=1e-4),
    )
}


def families_of(workload: Workload, target: Target, numerics: Numerics) -> list[Family]:
    """The families that may compute `workload` on `target`; none for kernels that have no space."""
    return [family for family in FAMILIES.values() if family.algorithm.serves(workload, target, numerics)]
