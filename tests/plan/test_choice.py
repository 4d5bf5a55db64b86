"""Which algorithm a convolution gets."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

import numpy as np
import pytest

from lascompile.errors import UsageError
from lascompile.plan.choice import Chooser
from lascompile.plan.plan import Plan
from lascompile.plan.prediction import PredictedCosts
from lascompile.schedules.cpu.algorithms import BF16X3, DIRECT, Algorithm
from lascompile.schedules.numerics import Numerics
from lascompile.sites.activity import Activity, Decided
from lascompile.sites.site import Site, SiteForm
from lascompile.target import Target
from lascompile.workload import ConvWorkload
from tests.kernels.calling import target_of

TILES, NO_TILES, ARM = (
    "llvm -mcpu=sapphirerapids",
    "llvm -mcpu=cascadelake",
    "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78",
)
NO_ROUNDING = "llvm -mcpu=sapphirerapids -mattr=-avx512bf16"

REDUCE = ConvWorkload(3136, 3136, 1, 1, 256, 64, gathers=True, counted=True, scatters=False)
GATHER = ConvWorkload(196, 196, 9, 1, 256, 256, gathers=True, counted=True, scatters=False)
MASKER = ConvWorkload(49, 49, 1, 1, 1024, 2, gathers=False, counted=False, scatters=False)


def site(workload: ConvWorkload, node: str = "conv") -> Site:
    """Under patches of four by four, where there is a mask."""
    side = isqrt(workload.rows)
    y, x = np.divmod(np.arange(workload.rows, dtype=np.int32), np.int32(side))
    patches = y // 4 * -(-side // 4) + x // 4
    rows = Decided("m", (1, side, side), patches.tobytes()) if workload.counted else None
    return Site(node, (SiteForm(workload, Activity(rows)),), (4, 4) if workload.counted else None)


def choose_algorithm(workload: ConvWorkload, target: Target, threads: int, numerics: Numerics) -> Algorithm:
    return Chooser(target, threads, numerics, Plan()).choose(site(workload)).candidate.algorithm


@pytest.mark.parametrize("workload", [REDUCE, GATHER])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_tiles_are_chosen_where_the_cpu_has_them_and_the_numerics_allow(workload: ConvWorkload, threads: int) -> None:
    assert choose_algorithm(workload, target_of(TILES), threads, Numerics.FAST) is BF16X3
    for target in (TILES, NO_TILES, NO_ROUNDING, ARM):
        assert choose_algorithm(workload, target_of(target), threads, Numerics.EXACT) is DIRECT
    for target in (NO_TILES, NO_ROUNDING, ARM):
        assert choose_algorithm(workload, target_of(target), threads, Numerics.FAST) is DIRECT


@pytest.mark.parametrize("workload", [MASKER, replace(GATHER, groups=32), replace(GATHER, groups=256)])
def test_tiles_are_not_chosen_where_they_would_be_empty(workload: ConvWorkload) -> None:
    assert choose_algorithm(workload, target_of(TILES), 2, Numerics.FAST) is DIRECT


def chooser(plan: Plan, target: str = TILES) -> Chooser:
    return Chooser(target_of(target), 2, Numerics.FAST, plan)


def test_a_plan_goes_before_the_cost() -> None:
    plan = Plan({"conv": "direct", "masker": "bf16x3"})
    assert chooser(plan).choose(site(GATHER, "conv")).candidate.algorithm is DIRECT
    assert chooser(plan).choose(site(MASKER, "masker")).candidate.algorithm is BF16X3
    assert chooser(plan).choose(site(GATHER, "another")).candidate.algorithm is BF16X3


def test_a_plan_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(UsageError, match="the plan wants bf16x3 for conv, which can be computed here by: direct"):
        chooser(Plan({"conv": "bf16x3"}), NO_TILES).choose(site(GATHER))


def test_candidates_come_best_first() -> None:
    choice = chooser(Plan()).choose(site(GATHER))
    ranked = choice.ranked
    assert choice.candidate is ranked[0] and {DIRECT, BF16X3} <= {candidate.algorithm for candidate in ranked}
    costs = [candidate.cost.seconds for candidate in ranked]
    assert costs == sorted(costs) and min(costs) > 0


@pytest.mark.parametrize("algorithm", [DIRECT, BF16X3], ids=lambda algorithm: algorithm.name)
def test_cost_grows_with_the_work_and_shrinks_with_the_threads(algorithm) -> None:
    def cost(workload: ConvWorkload, threads: int = 1) -> float:
        target = target_of(TILES)
        count = workload.rows * (0.5 if workload.counted else 1.0)
        decisions = algorithm.decide(workload, target, threads)
        return PredictedCosts(target, threads).cost(algorithm, workload, decisions, count).seconds

    more = (
        {"rows": 392},
        {"in_channels": 512},
        {"out_channels": 512},
        {"taps": 25},
        {"counted": False},
    )
    for change in more:
        assert cost(replace(GATHER, **change)) > cost(GATHER), change
    assert cost(GATHER) / 2 < cost(GATHER, 2) < cost(GATHER)
