"""What an algorithm is expected to cost before anything was measured.

A count of the cycles that arithmetic takes on one core, and of those that memory takes. The slower of the two counts,
and the part of the other that is not hidden behind it.
It has to order the algorithms of one convolution, not to foresee times: its constants are those of one x86 server, and
measured rows of the latency table go before it.
"""

from __future__ import annotations

from collections.abc import Callable

from lascompile.analysis.blocks import NOMINAL_RATE
from lascompile.plan.algorithms import BF16X3, DIRECT, WINOGRAD2, WINOGRAD4, Algorithm
from lascompile.schedules.cpu import bf16x3_loops as tiles
from lascompile.target import Target
from lascompile.workload import ConvWorkload, WinogradWorkload, Workload, channel_stride

_FMAS_PER_CYCLE = 2
_BYTES_PER_CYCLE = 4.0
"""What memory delivers to one core."""

_UNHIDDEN = 0.5
"""Of the faster of arithmetic and memory, what is not done while the slower one goes on."""

_TILE_STEP_CYCLES = 12 * 16
"""Two by two tiles, three products, sixteen cycles each."""

_TRANSFORM_CYCLES = 1.0
"""For one number of a tile and one step of its transforms, of which there are (m + 2)^3."""

_PACKING_CYCLES = 12
"""To split 32 numbers and store them."""


def predict_cycles(algorithm: Algorithm, workload: Workload, target: Target, threads: int) -> float:
    """Cycles until `workload` is done on `threads` cores, weights coming from memory."""
    arithmetic, weights = _COSTS[algorithm.name](workload, target)
    memory = 4 * weights / _BYTES_PER_CYCLE
    return (max(arithmetic, memory) + _UNHIDDEN * min(arithmetic, memory)) / threads


def _direct(workload: Workload, target: Target) -> tuple[float, float]:
    assert isinstance(workload, ConvWorkload)
    depth = workload.taps * workload.in_channels // workload.groups
    fmas = _expected(workload.rows, workload.counted) * depth * channel_stride(workload.out_channels)
    return fmas / (_FMAS_PER_CYCLE * max(1, target.lanes)), depth * workload.out_channels


def _bf16x3(workload: Workload, target: Target) -> tuple[float, float]:
    assert isinstance(workload, ConvWorkload)
    groups = -(-_expected(workload.rows, workload.counted) // tiles.GROUP_ROWS)
    depth = tiles.steps(workload)
    products = groups * tiles.channel_blocks(workload) * depth * _TILE_STEP_CYCLES
    arithmetic = products + groups * tiles.GROUP_ROWS * depth * _PACKING_CYCLES
    return arithmetic, workload.taps * workload.in_channels * workload.out_channels


def _winograd(workload: Workload, target: Target) -> tuple[float, float]:
    assert isinstance(workload, WinogradWorkload)
    count, lanes = _expected(workload.tiles, workload.counted), max(1, target.lanes)
    channels = workload.in_channels * channel_stride(workload.out_channels)
    products = count * workload.positions * channels / (_FMAS_PER_CYCLE * lanes)
    side = workload.m + 2
    transforms = count * side**3 * (workload.in_channels + workload.out_channels) * _TRANSFORM_CYCLES / lanes
    return products + transforms, workload.positions * channels


def _expected(number: int, counted: bool) -> float:
    """Rows or tiles that a kernel is expected to meet."""
    return number * (NOMINAL_RATE if counted else 1.0)


_COSTS: dict[str, Callable[[Workload, Target], tuple[float, float]]] = {
    DIRECT.name: _direct,
    BF16X3.name: _bf16x3,
    WINOGRAD2.name: _winograd,
    WINOGRAD4.name: _winograd,
}
"""By algorithm: a workload and a target → cycles of arithmetic on all cores together, and weights to read."""
