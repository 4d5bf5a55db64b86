"""The ways to compute one convolution, and what they cost: seconds, measured or predicted.

Latencies are compared if they have one scale: means of measuring, device, activation rate, granularity. A prediction
has none of them. So for one convolution:

1. Nothing measured: predicted seconds are compared.
2. Rows of the latency table under masks of another granularity than the convolution's own count only where no candidate
   has a row of that.
3. The scale with the most measured candidates counts; of equals the latency table's, then that of the finest patches,
   then that of the first. Latencies on it are compared as they are.
4. Every other candidate gets the latency of the fastest of those, times the ratio of their predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from lascompile.plan.cost import SCALED, TABLE, Cost
from lascompile.plan.measured import Measured, Scale
from lascompile.schedules.algorithm import Algorithm
from lascompile.workload import Form


@dataclass(frozen=True)
class Candidate:
    """One way to compute a convolution, and what it costs.

    Attributes:
        algorithm: What computes it.
        workload: The form in which the algorithm takes it.
        decisions: Those of its schedule.
        cost: In seconds, comparable with those of the other candidates of one convolution.
        record: Provenance of the record that the decisions come from; None if they are the default ones.
        row: Provenance of the latency table's row that the cost comes from, or None.
    """

    algorithm: Algorithm
    workload: Form
    decisions: Any
    cost: Cost
    record: Mapping[str, Any] | None = None
    row: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What a manifest tells of it."""
        cost = self.cost
        told: dict[str, Any] = {
            "algorithm": self.algorithm.name,
            "cost": cost.seconds,
            "interval": [cost.low_s, cost.high_s],
            "source": cost.source,
        }
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
    both = [(candidate, item) for candidate, item in pairs if item is not None]
    fastest, known = min(both, key=lambda pair: (pair[1].cost.seconds, pair[0].cost.seconds))
    return [
        replace(candidate, cost=known.cost.times(candidate.cost.seconds / fastest.cost.seconds, SCALED))
        if item is None
        else replace(candidate, cost=item.cost, row=item.row)
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
