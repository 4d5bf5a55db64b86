"""The algorithms that compute a convolution over rows: the one table of what each can do and what serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from lascompile.cpu import TILE_FEATURES
from lascompile.kernels import row_conv as rows
from lascompile.schedules.cpu import bf16x3_conv, row_conv, winograd
from lascompile.schedules.cpu import bf16x3_loops as tiles
from lascompile.schedules.cpu.bf16x3_space import bf16x3_space
from lascompile.schedules.cpu.row_conv_space import row_conv_space
from lascompile.schedules.cpu.winograd_space import winograd_space
from lascompile.schedules.numerics import Numerics
from lascompile.schedules.space import Space
from lascompile.target import Target
from lascompile.workload import ConvWorkload, WinogradWorkload, Workload


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a convolution.

    Attributes:
        name: As it stands in plans, records and reports.
        decisions: The class of its schedules' decisions.
        numerics: The numerics that it needs.
        features: What the target must have (LLVM's names).
        supports: Whether it can compute a workload.
        decide: The decisions that are good before anything was measured, for a target and a number of threads.
        space: Which decisions there are; those of tuning, and of records.
        schedule: A workload and decisions → the kernel.
        pack: Weights [out, in / groups, kh, kw] → what the kernel takes.
    """

    name: str
    decisions: type
    numerics: Numerics
    features: frozenset[str]
    supports: Callable[[Workload], bool]
    decide: Callable[[Any, Target, int], Any]
    space: Callable[[Any, Target, int], Space]
    schedule: Callable[..., tirx.PrimFunc]
    pack: Callable[[np.ndarray, Any, Any], np.ndarray]

    def serves(self, workload: Workload, target: Target, numerics: Numerics) -> bool:
        """True if it may compute `workload` there."""
        allowed = self.numerics is Numerics.EXACT or numerics is Numerics.FAST
        return allowed and self.features <= set(target.features) and self.supports(workload)


DIRECT = Algorithm(
    name="direct",
    decisions=row_conv.Decisions,
    numerics=Numerics.EXACT,
    features=frozenset(),
    supports=lambda workload: isinstance(workload, ConvWorkload),
    decide=row_conv.default_decisions,
    space=row_conv_space,
    schedule=row_conv.schedule_row_conv,
    pack=lambda weight, workload, decisions: rows.pack_weight(weight, workload, decisions.width),
)
BF16X3 = Algorithm(
    name="bf16x3",
    decisions=bf16x3_conv.TileDecisions,
    numerics=Numerics.FAST,
    # The last one rounds what the tiles multiply; a virtual machine may hide it.
    features=TILE_FEATURES | {"avx512bf16"},
    supports=lambda workload: isinstance(workload, ConvWorkload) and workload.groups == 1,
    decide=bf16x3_conv.default_decisions,
    space=bf16x3_space,
    schedule=bf16x3_conv.schedule_bf16x3_conv,
    pack=lambda weight, workload, decisions: tiles.pack_weight(weight, workload, decisions.nest),
)


def _winograd(m: int) -> Algorithm:
    """F(m x m, 3 x 3)."""
    return Algorithm(
        name=f"winograd{m}",
        decisions=winograd.WinogradDecisions,
        numerics=Numerics.FAST,
        features=frozenset(),
        supports=lambda workload: isinstance(workload, WinogradWorkload) and workload.m == m,
        decide=winograd.default_decisions,
        space=winograd_space,
        schedule=winograd.schedule_winograd,
        pack=winograd.pack_weight,
    )


WINOGRAD2, WINOGRAD4 = _winograd(2), _winograd(4)
ALGORITHMS = {algorithm.name: algorithm for algorithm in (DIRECT, BF16X3, WINOGRAD2, WINOGRAD4)}


def algorithm_of(workload: Workload, decisions: object) -> Algorithm:
    """The algorithm that `decisions` for `workload` belong to."""
    fitting = (algorithm for algorithm in ALGORITHMS.values() if isinstance(decisions, algorithm.decisions))
    return next(algorithm for algorithm in fitting if algorithm.supports(workload))
