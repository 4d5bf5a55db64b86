"""Search the granularity of each stage (LASNet paper, section 3.2) by predicted latency.

Stages do not depend on one another, so that the latency of a design is a sum: each stage is predicted once for each S.
What a coarse S costs in accuracy no predictor knows; the search shows what it buys.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd

from lascompile.errors import UsageError
from lascompile.latency.block_kernels import BlockShape
from lascompile.latency.counts import expected_count
from lascompile.latency.network import BlockLatency, NetworkPredictor, block_shapes
from lascompile.models.config import ResNetConfig
from lascompile.workload import ConvWorkload, Form, WinogradWorkload


@dataclass(frozen=True)
class StageCurve:
    """A stage under masks of one granularity.

    Attributes:
        stage: Its number, from 0.
        granularity: S.
        latency_s: Of all its blocks, at each of the rates.
        flops: Operations of its convolutions at each of the rates, those of the dilated mask included.
        static_s: Of the stage without masks.
    """

    stage: int
    granularity: int
    latency_s: tuple[float, ...]
    flops: tuple[float, ...]
    static_s: float


@dataclass(frozen=True)
class Design:
    """A granularity for each stage.

    Attributes:
        latency_s: Of the network, stem and head included, at the rate that was searched for.
        flops: Operations of the blocks' convolutions there.
    """

    granularity: tuple[int, ...]
    latency_s: float
    flops: float


def divisors(size: tuple[int, int], whole: bool) -> list[int]:
    """The granularities that divide a map of `size`; with `whole`, the one that is the map itself."""
    side = gcd(*size)
    return [s for s in range(1, side + 1) if side % s == 0 and (whole or s < max(size) or max(size) == 1)]


def stage_curves(
    predictor: NetworkPredictor,
    config: ResNetConfig,
    rates: Sequence[float],
    batch: int = 1,
    layer_skipping: bool = False,
) -> list[StageCurve]:
    """Every granularity of every stage, at each of `rates`.

    Args:
        predictor: Of the device.
        config: The network; its own granularity does not matter.
        rates: Activation rates, 0 to 1.
        batch: Images at a time.
        layer_skipping: Whether S may be the whole map. The paper leaves that out, since accuracy drops (3.2).

    Raises:
        UsageError: A rate is not in 0 to 1.
    """
    for rate in rates:
        if not 0 <= rate <= 1:
            raise UsageError(f"activation rate {rate:g}: it must be from 0 to 1")
    shapes = iter(block_shapes(replace(config, granularity=None), batch))
    curves = []
    for stage, depth in enumerate(config.depths):
        blocks = [next(shapes) for _ in range(depth)]
        static = sum(predictor.block(block).latency_s for block in blocks)
        for granularity in divisors(blocks[0].size, layer_skipping):
            masked = [replace(block, granularity=granularity) for block in blocks]
            by_rate = [[predictor.block(block, rate) for block in masked] for rate in rates]
            latencies = tuple(sum(found.latency_s for found in row) for row in by_rate)
            flops = tuple(sum(executed_flops(found) for found in row) for row in by_rate)
            curves.append(StageCurve(stage, granularity, latencies, flops, static))
    return curves


def search(
    predictor: NetworkPredictor,
    config: ResNetConfig,
    rate: float,
    batch: int = 1,
    top: int = 1,
    layer_skipping: bool = False,
) -> list[Design]:
    """The `top` designs with the lowest predicted latency at one activation rate, the fastest first.

    Raises:
        UsageError: `rate` is not in 0 to 1, or `top` is not positive.
    """
    if top < 1:
        raise UsageError(f"top is {top}, but at least 1 is needed")
    curves = stage_curves(predictor, config, [rate], batch, layer_skipping)
    stages = [[curve for curve in curves if curve.stage == stage] for stage in range(len(config.depths))]
    around = predictor.network(replace(config, granularity=None), 1.0, batch)
    outside = around[0].latency_s + around[-1].latency_s
    return heapq.nsmallest(top, _designs(stages, outside), key=lambda design: (design.latency_s, design.granularity))


def pareto(designs: Sequence[Design]) -> list[Design]:
    """Those of `designs` to which none is both faster and of fewer operations, the fastest first."""
    front: list[Design] = []
    for design in sorted(designs, key=lambda one: (one.latency_s, one.flops)):
        if not front or design.flops < front[-1].flops:
            front.append(design)
    return front


def executed_flops(block: BlockLatency) -> float:
    """Operations of a block's convolutions as they are executed, in terms of direct convolution."""
    assert block.shape is not None
    total = 0.0
    for chosen in block.kernels:
        form = chosen.kernel.forms[0]
        if isinstance(form, Form):
            rows = _rows(form, chosen.count, block.shape, block.rate, chosen.kernel.reach)
            total += 2 * rows * form.taps * form.in_channels * form.out_channels / form.groups
    return total


def _rows(form: Form, count: float, shape: BlockShape, rate: float, reach: int | None) -> float:
    """Output pixels of a convolution: a Winograd kernel counts tiles."""
    if isinstance(form, ConvWorkload):
        return count
    assert isinstance(form, WinogradWorkload)
    over_rows = ConvWorkload(
        form.output_rows, form.input_rows, 9, 1, form.in_channels, form.out_channels, True, form.counted, False
    )
    return expected_count(over_rows, shape.mask, rate, shape.batch, reach)


def _designs(stages: Sequence[Sequence[StageCurve]], outside_s: float) -> list[Design]:
    return [
        Design(
            tuple(curve.granularity for curve in chosen),
            outside_s + sum(curve.latency_s[0] for curve in chosen),
            sum(curve.flops[0] for curve in chosen),
        )
        for chosen in itertools.product(*stages)
    ]
