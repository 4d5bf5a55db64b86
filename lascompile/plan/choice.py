"""The choice of an algorithm for one convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lascompile.errors import UsageError
from lascompile.plan.candidate import Candidate, on_one_scale
from lascompile.plan.cost import predict_cycles
from lascompile.plan.measured import Measured, Measurements
from lascompile.plan.plan import Plan
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import backend_of
from lascompile.schedules.numerics import Numerics
from lascompile.target import Target
from lascompile.workload import Form


class PlanError(UsageError):
    """A plan that wants what cannot be had for the convolution `node`."""

    def __init__(self, node: str, message: str) -> None:
        super().__init__(message)
        self.node = node


@dataclass(frozen=True)
class Chooser:
    """Chooses by cost, but where a plan has spoken.

    Attributes:
        measurements: What was measured, which goes before what is predicted; None leaves it out.
    """

    target: Target
    threads: int
    numerics: Numerics
    plan: Plan
    measurements: Measurements | None = None

    def candidates(
        self, workloads: Sequence[Form], granularity: tuple[int, int] | None = None
    ) -> list[Candidate]:
        """Every algorithm that may compute a convolution, which stands in `workloads` in all its forms.

        `granularity` is S of the mask that it obeys, if there is one.
        """
        found = [
            self._candidate(algorithm, workload)
            for workload in workloads
            for algorithm in backend_of(self.target.kind).serving(workload, self.target, self.numerics)
        ]
        return on_one_scale([candidate for candidate, _ in found], [measured for _, measured in found], granularity)

    def _candidate(self, algorithm: Algorithm, workload: Form) -> tuple[Candidate, Sequence[Measured]]:
        """It, at its predicted cost, and what was measured of it."""
        cycles = predict_cycles(algorithm, workload, self.target, self.threads)
        default = algorithm.decide(workload, self.target, self.threads)
        if self.measurements is None:
            return Candidate(algorithm, workload, default, cycles), ()
        found = self.measurements.look_up(algorithm, workload, default)
        return Candidate(algorithm, workload, found.decisions, cycles, record=found.record), found.latencies

    def choose(
        self, node: str, workloads: Sequence[Form], granularity: tuple[int, int] | None = None
    ) -> tuple[Candidate, list[Candidate]]:
        """The best candidate for the convolution `node`, and all of them, best first; arguments as for `candidates`.

        Raises:
            PlanError: The plan wants an algorithm that cannot compute it here.
        """
        ranked = sorted(self.candidates(workloads, granularity), key=lambda candidate: candidate.cost)
        wanted = self.plan.algorithms.get(node)
        if wanted is None:
            return ranked[0], ranked
        for candidate in ranked:
            if candidate.algorithm.name == wanted:
                return candidate, ranked
        possible = ", ".join(candidate.algorithm.name for candidate in ranked)
        raise PlanError(node, f"the plan wants {wanted} for {node}, which can be computed here by: {possible}")
