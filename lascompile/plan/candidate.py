"""The ways to compute one convolution, and what they cost in one unit.

Latencies are compared if they have one scale: means of measuring, device, activation rate. A number of cycles that was
predicted is none of them. So for one convolution:

1. Nothing measured: predicted cycles are compared.
2. Else the scale with the most measured candidates counts; of equals the latency table's, then that of the first.
   Latencies on it are compared as they are.
3. Every other candidate gets the latency of the fastest of those, times the ratio of their predicted cycles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lascompile.plan.algorithms import Algorithm
from lascompile.plan.measured import TABLE, Measured
from lascompile.workload import Workload

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
    workload: Workload
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


def on_one_scale(candidates: Sequence[Candidate], measured: Sequence[Measured | None]) -> list[Candidate]:
    """`candidates`, whose costs are predicted, with costs by the rule above; `measured` is of each, in order."""
    scales = Counter(item.scale for item in measured if item is not None)
    if not scales:
        return list(candidates)
    scale = max(scales, key=lambda scale: (scales[scale], scale.source == TABLE))
    pairs = list(zip(candidates, measured, strict=True))
    latency_s, cycles = min((m.latency_s, c.cost) for c, m in pairs if m is not None and m.scale == scale)
    return [
        replace(candidate, cost=item.latency_s, source=scale.source, row=item.row)
        if item is not None and item.scale == scale
        else replace(candidate, cost=latency_s * candidate.cost / cycles, source=SCALED)
        for candidate, item in pairs
    ]

