"""The choice of an algorithm for each convolution of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lascompile.errors import UsageError
from lascompile.plan.candidate import Candidate, on_one_scale
from lascompile.plan.measured import Found, Measured, Measurements
from lascompile.plan.plan import Plan
from lascompile.plan.prediction import PredictedCosts
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import backend_of
from lascompile.schedules.numerics import Numerics
from lascompile.sites.site import Site, SiteForm
from lascompile.target import Target


class PlanError(UsageError):
    """A plan that wants what cannot be had for the convolution `node`."""

    def __init__(self, node: str, message: str) -> None:
        super().__init__(message)
        self.node = node


@dataclass(frozen=True)
class Choice:
    """What computes a convolution.

    Attributes:
        candidate: The best, or the one that a plan wants.
        ranked: All ways, the best first.
    """

    candidate: Candidate
    ranked: Sequence[Candidate]


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

    def candidates(self, site: Site) -> list[Candidate]:
        """Every algorithm that may compute `site` in any of its forms."""
        found = [
            self._candidate(algorithm, form)
            for form in site.forms
            for algorithm in backend_of(self.target.kind).serving(form.workload, self.target, self.numerics)
        ]
        costs = [candidate for candidate, _ in found]
        return on_one_scale(costs, [measured for _, measured in found], site.granularity)

    def _candidate(self, algorithm: Algorithm, form: SiteForm) -> tuple[Candidate, Sequence[Measured]]:
        """It, at its predicted cost, and what was measured of it."""
        workload = form.workload
        found = Found(algorithm.decide(workload, self.target, self.threads))
        if self.measurements is not None:
            found = self.measurements.look_up(algorithm, workload, found.decisions)
        cost = self._prediction.cost(algorithm, workload, found.decisions, form.count())
        return Candidate(algorithm, workload, found.decisions, cost, found.record), found.latencies

    @cached_property
    def _prediction(self) -> PredictedCosts:
        return PredictedCosts(self.target, self.threads)

    def choose(self, site: Site) -> Choice:
        """The best candidate for a convolution.

        Raises:
            PlanError: The plan wants an algorithm that cannot compute it here.
        """
        ranked = sorted(self.candidates(site), key=lambda candidate: candidate.cost.seconds)
        wanted = self.plan.algorithms.get(site.node)
        if wanted is None:
            return Choice(ranked[0], ranked)
        for candidate in ranked:
            if candidate.algorithm.name == wanted:
                return Choice(candidate, ranked)
        possible = ", ".join(candidate.algorithm.name for candidate in ranked)
        message = f"the plan wants {wanted} for {site.node}, which can be computed here by: {possible}"
        raise PlanError(site.node, message)
