"""Whether a record still applies: the fingerprint of what an algorithm computes today."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from tvm import tirx

from lascompile.kernels import winograd_weights
from lascompile.kernels.bf16x3_conv import Nest, define_bf16x3_conv
from lascompile.kernels.row_conv import define_row_conv
from lascompile.kernels.winograd import define_winograd
from lascompile.plan.algorithms import ALGORITHMS, BF16X3, DIRECT, WINOGRAD2, WINOGRAD4
from lascompile.records import Known
from lascompile.workload import Workload

_WINOGRAD_NEST = winograd_weights.Nest(
    lanes=4,
    width=4,
    tile_heights=(1,),
    unroll=1,
    channel_walkers=1,
    tile_walkers=1,
    held_tiles=1,
    transform_weights=False,
    depth_parts=1,
    prefetch=False,
)

# By one fixed set of decisions, where a definition depends on them.
_DEFINITIONS: dict[str, Callable[[Any], tirx.PrimFunc]] = {
    DIRECT.name: lambda workload: define_row_conv(workload, width=1),
    BF16X3.name: lambda workload: define_bf16x3_conv(workload, Nest(1, 1, 1)),
    WINOGRAD2.name: lambda workload: define_winograd(workload, _WINOGRAD_NEST),
    WINOGRAD4.name: lambda workload: define_winograd(workload, _WINOGRAD_NEST),
}


def known_algorithms(workload: Workload, names: Iterable[str] = tuple(ALGORITHMS)) -> dict[str, Known]:
    """Those of the algorithms `names` that can compute `workload`, with the fingerprints of their definitions."""
    return {
        name: Known(_fingerprint(name, workload), ALGORITHMS[name].decisions)
        for name in names
        if ALGORITHMS[name].supports(workload)
    }


@cache
def _fingerprint(name: str, workload: Workload) -> str:
    """Twelve digits of the definition's text before any schedule, which TVM writes alike wherever it runs."""
    return hashlib.sha256(_DEFINITIONS[name](workload).script().encode()).hexdigest()[:12]
