"""Whether a record still applies: the fingerprint of what an algorithm computes today, and its schedules.

A definition may depend on decisions. Its fingerprint is made of as many variants as it takes to have every line in one
of them, each by fixed decisions: it has to be the same for all decisions, and to cost next to nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

from tvm import tirx

from lascompile.kernels.row_conv import define_row_conv
from lascompile.plan.algorithms import ALGORITHMS, BF16X3, DIRECT, WINOGRAD2, WINOGRAD4
from lascompile.records import Known, TargetKey, Task
from lascompile.schedules.cpu import winograd_weights
from lascompile.schedules.cpu.bf16x3_loops import Nest, can_cut_depth, define_bf16x3_conv, steps
from lascompile.schedules.cpu.winograd_loops import define_winograd
from lascompile.schedules.space import Space
from lascompile.workload import ConvWorkload, WinogradWorkload, Workload

WINOGRAD_NEST = winograd_weights.Nest(
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
"""The plainest one, which every workload can have."""


def _direct(workload: ConvWorkload) -> Iterator[tirx.PrimFunc]:
    yield define_row_conv(workload, width=1)


def _bf16x3(workload: ConvWorkload) -> Iterator[tirx.PrimFunc]:
    """The sums as a whole and in parts."""
    yield define_bf16x3_conv(workload, Nest(1, 1, 1))
    parts = next((parts for parts in range(2, steps(workload) + 1) if can_cut_depth(workload, parts)), None)
    if parts is not None:
        yield define_bf16x3_conv(workload, Nest(1, 1, 1, parts))


def _winograd(workload: WinogradWorkload) -> Iterator[tirx.PrimFunc]:
    """Weights packed transformed, the plain way and with everything; and transformed while the kernel runs."""
    yield define_winograd(workload, WINOGRAD_NEST)
    parts = next((parts for parts in range(2, workload.in_channels + 1) if workload.in_channels % parts == 0), 1)
    everything = replace(WINOGRAD_NEST, tile_heights=(2, 1), held_tiles=2, depth_parts=parts, prefetch=True)
    yield define_winograd(workload, everything)
    yield define_winograd(workload, replace(everything, transform_weights=True))


_VARIANTS: dict[str, Callable[[Any], Iterator[tirx.PrimFunc]]] = {
    DIRECT.name: _direct,
    BF16X3.name: _bf16x3,
    WINOGRAD2.name: _winograd,
    WINOGRAD4.name: _winograd,
}


def known_algorithms(workload: Workload, names: Iterable[str] = tuple(ALGORITHMS)) -> dict[str, Known]:
    """Those of the algorithms `names` that can compute `workload`, with the fingerprints of their definitions."""
    return {
        name: Known(_fingerprint(name, workload), ALGORITHMS[name].decisions, partial(_has, name))
        for name in names
        if ALGORITHMS[name].supports(workload)
    }


def _has(name: str, task: Task, decisions: Any) -> bool:
    """Whether schedules by the algorithm have `decisions`."""
    return _space(name, task.workload, task.target, task.threads).position(decisions) is not None


@cache
def _space(name: str, workload: Workload, target: TargetKey, threads: int) -> Space:
    return ALGORITHMS[name].space(workload, target.target(), threads)


@cache
def _fingerprint(name: str, workload: Workload) -> str:
    """Twelve digits of the variants' texts before any schedule, which TVM writes alike wherever it runs."""
    texts = "".join(variant.script() for variant in _VARIANTS[name](workload))
    return hashlib.sha256(texts.encode()).hexdigest()[:12]
