"""An algorithm that computes convolutions on a kind of target: one row, and all there is to know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from lascompile.schedules.numerics import Numerics
from lascompile.schedules.space import Space
from lascompile.schedules.weight_stream import Upcoming
from lascompile.schedules.work import Engine, Work
from lascompile.target import Target
from lascompile.workload import Workload


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a convolution on a kind of target, whose type is that of the targets its functions take.

    Attributes:
        name: As it stands in plans, records and reports; of one target's algorithms none has the same.
        numerics: The numerics that it needs.
        features: What the target must have (a CPU's instruction sets by LLVM's names).
        supports: Whether it can compute a workload.
        decisions: The class of its schedules' decisions.
        decide: The decisions that are good before anything was measured, for a target and a number of threads.
        space: Which decisions there are; those of tuning, and of records.
        describe: What a search's cost model is told of decisions for a workload on a target at an activation rate; as
            many numbers for every workload.
        schedule: A workload and decisions → the kernel. If `upcoming` is not None, it also takes a `Stream`.
        pack: Weights [out, in / groups, kh, kw], a workload and decisions → what the kernel takes.
        upcoming: Decisions and the shape of packed weights → what the kernel before may ask for; None for kernels that
            do not stream weights.
        variants: The definition of a workload, before any schedule, in as many variants as it takes to have every line
            in one of them, each by fixed decisions: the fingerprint that records keep is made of their texts, so they
            have to be the same for all decisions, and to cost next to nothing.
        work: What so many active rows or tiles of a workload, by such decisions, make an engine do.
        tolerance: The error that is allowed when a candidate is compared with the reference, as a share of the largest
            number in the result. A wrong kernel misses it by orders of magnitude; rounding stays well below it.
        nan_reach: How far beyond a window, in pixels, an input that is not finite may be seen; None where it is seen in
            the window alone, as in a direct convolution, and an infinity stays one.
    """

    name: str
    numerics: Numerics
    features: frozenset[str]
    supports: Callable[[Workload], bool]
    decisions: type
    decide: Callable[[Any, Any, int], Any]
    space: Callable[[Any, Any, int], Space]
    describe: Callable[[Any, Any, Any, float], list[float]]
    schedule: Callable[..., tirx.PrimFunc]
    pack: Callable[[np.ndarray, Any, Any], np.ndarray]
    upcoming: Callable[[Any, tuple[int, ...]], Upcoming] | None
    variants: Callable[[Any], Iterator[tirx.PrimFunc]]
    work: Callable[[Any, Any, float, Engine], Work]
    tolerance: float
    nan_reach: int | None

    def serves(self, workload: Workload, target: Target, numerics: Numerics) -> bool:
        """True if it may compute `workload` there."""
        allowed = self.numerics is Numerics.EXACT or numerics is Numerics.FAST
        return allowed and self.features <= set(target.features) and self.supports(workload)
