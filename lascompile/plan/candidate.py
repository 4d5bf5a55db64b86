"""The ways to compute one convolution, and what they cost in one unit.

Latencies are compared if they have one scale: means of measuring, device, activation rate, granularity. A number of
cycles that was predicted is none of them. So for one convolution:

1. Nothing measured: predicted cycles are compared.
2. Rows of the latency table under masks of another granularity than the convolution's own count only where no candidate
   has a row of that.
3. The scale with the most measured candidates counts; of equals the latency table's, then that of the finest patches,
   then that of the first. Latencies on it are compared as they are.
4. Every other candidate gets the latency of the fastest of those, times the ratio of their predicted cycles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from lascompile.plan.measured import TABLE, Measured, Scale
from lascompile.schedules.algorithm import Algorithm
from lascompile.workload import Form

PREDICTED, SCALED = "predicted", "scaled"


@dataclass(frozen=True)
class Candidate:
    """One way to compute a convolution, and what it costs.

    Attributes:
        algorithm: What computes it.
        workload: The form in which the algorithm takes it.
        decisions: Those of its schedule.
        cost: Cycles if the source is `predicted`, else seconds; of one unit for all candidates of one convolution.
        source: Where the cost comes from: `predicted`, `record`, `table`, or `scaled` from another candidate's latency.
        record: Provenance of the record that the decisions come from; None if they are the default ones.
        row: Provenance of the latency table's row that the cost comes from, or None.
    """

    algorithm: Algorithm
    workload: Form
    decisions: Any
    cost: float
    source: str = PREDICTED
    record: Mapping[str, Any] | None = None
    row: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What a manifest tells of it."""
        told: dict[str, Any] = {"algorithm": self.algorithm.name, "cost": self.cost, "source": self.source}
        provenance = {"record": self.record, "row": self.row}
        return told | {name: value for name, value in provenance.items() if value is not None}


def on_one_scale(
    candidates: Sequence[Candidate],
    measured: Sequence[Sequence[Measured]],
    granularity: tuple[int, int] | None = None,
) -> list[Candidate]:
    """`candidates`, whose costs are predicted, with costs by the rule above.

    Args:
        candidates: The ways to compute one convolution.
        measured: What was measured of each, in order, on each scale.
        granularity: S of the mask that the convolution obeys; None without one.
    """
    scale = _choose_scale([item.scale for items in measured for item in items], granularity)
    if scale is None:
        return list(candidates)
    on_scale = [next((item for item in items if item.scale == scale), None) for items in measured]
    pairs = list(zip(candidates, on_scale, strict=True))
    latency_s, cycles = min((item.latency_s, candidate.cost) for candidate, item in pairs if item is not None)
    return [
        replace(candidate, cost=latency_s * candidate.cost / cycles, source=SCALED)
        if item is None
        else replace(candidate, cost=item.latency_s, source=scale.source, row=item.row)
        for candidate, item in pairs
    ]


def _choose_scale(scales: Sequence[Scale], granularity: tuple[int, int] | None) -> Scale | None:
    """That which counts, of the scales on which candidates were measured; None if none was."""

    def is_own(scale: Scale) -> bool:
        return scale.source == TABLE and scale.granularity == granularity

    has_own = any(is_own(scale) for scale in scales)
    counted = Counter(scale for scale in scales if scale.source != TABLE or is_own(scale) or not has_own)

    def rank(scale: Scale) -> tuple[int, bool, int]:
        return counted[scale], scale.source == TABLE, -prod(scale.granularity or ())

    return max(counted, key=rank, default=None)
