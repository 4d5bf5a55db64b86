"""The algorithms that compute convolutions on a CPU: a row each."""

from __future__ import annotations

from lascompile.cpu import TILE_FEATURES
from lascompile.kernels import row_conv as rows
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.cpu import bf16x3_conv, row_conv, winograd
from lascompile.schedules.cpu import bf16x3_loops as tiles
from lascompile.schedules.cpu.bf16x3_space import bf16x3_features, bf16x3_space
from lascompile.schedules.cpu.fingerprints import bf16x3_variants, direct_variants, winograd_variants
from lascompile.schedules.cpu.row_conv_space import row_conv_features, row_conv_space
from lascompile.schedules.cpu.winograd_space import winograd_features, winograd_space
from lascompile.schedules.cpu.work import bf16x3_work, row_conv_work, winograd_work
from lascompile.schedules.numerics import Numerics
from lascompile.workload import ConvWorkload, WinogradWorkload

DIRECT = Algorithm(
    name="direct",
    numerics=Numerics.EXACT,
    features=frozenset(),
    supports=lambda workload: isinstance(workload, ConvWorkload),
    decisions=row_conv.Decisions,
    decide=row_conv.default_decisions,
    space=row_conv_space,
    describe=row_conv_features,
    schedule=row_conv.schedule_row_conv,
    pack=lambda weight, workload, decisions: rows.pack_weight(weight, workload, decisions.width),
    upcoming=None,
    variants=direct_variants,
    work=row_conv_work,
    tolerance=1e-5,
    nan_reach=None,
)
BF16X3 = Algorithm(
    name="bf16x3",
    numerics=Numerics.FAST,
    # The last one rounds what the tiles multiply; a virtual machine may hide it.
    features=TILE_FEATURES | {"avx512bf16"},
    supports=lambda workload: isinstance(workload, ConvWorkload) and workload.groups == 1,
    decisions=bf16x3_conv.TileDecisions,
    decide=bf16x3_conv.default_decisions,
    space=bf16x3_space,
    describe=bf16x3_features,
    schedule=bf16x3_conv.schedule_bf16x3_conv,
    pack=lambda weight, workload, decisions: tiles.pack_weight(weight, workload, decisions.nest),
    upcoming=bf16x3_conv.upcoming_weights,
    variants=bf16x3_variants,
    work=bf16x3_work,
    tolerance=2e-4,
    # An infinity less an infinity, where a number is taken apart.
    nan_reach=0,
)


def _winograd(m: int, tolerance: float) -> Algorithm:
    """F(m x m, 3 x 3)."""
    return Algorithm(
        name=f"winograd{m}",
        numerics=Numerics.FAST,
        features=frozenset(),
        supports=lambda workload: isinstance(workload, WinogradWorkload) and workload.m == m,
        decisions=winograd.WinogradDecisions,
        decide=winograd.default_decisions,
        space=winograd_space,
        describe=winograd_features,
        schedule=winograd.schedule_winograd,
        pack=winograd.pack_weight,
        upcoming=None,
        variants=winograd_variants,
            work=winograd_work,
        tolerance=tolerance,
        # Two outputs of a tile are at most m - 1 pixels apart, and all of them may see what one of them reads.
        nan_reach=m - 1,
    )


WINOGRAD2, WINOGRAD4 = _winograd(2, tolerance=3e-5), _winograd(4, tolerance=1e-4)
ALGORITHMS = {algorithm.name: algorithm for algorithm in (DIRECT, BF16X3, WINOGRAD2, WINOGRAD4)}
