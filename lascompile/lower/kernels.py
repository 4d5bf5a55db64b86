"""From workload to scheduled code: a workload, and by which algorithm and decisions it is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from tvm import tirx

from lascompile.plan.candidate import Candidate
from lascompile.plan.choice import Choice, Chooser
from lascompile.plan.measured import Measurements
from lascompile.plan.plan import Plan
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import backend_of
from lascompile.schedules.numerics import Numerics
from lascompile.schedules.weight_stream import Stream
from lascompile.sites.site import Site
from lascompile.target import Target
from lascompile.workload import Workload


@dataclass(frozen=True)
class ScheduledKernel:
    """A workload with the decisions of its schedule.

    Attributes:
        workload: What is computed.
        target: For what.
        threads: On how many threads.
        algorithm: By what, if it is a convolution.
        decisions: How, if it is a convolution: those of a schedule by `algorithm`.
        stream: What it prefetches for itself and for the kernel that follows; see `lookahead`.
        candidates: The ways to compute it, if it is a convolution, the best first.
    """

    workload: Workload
    target: Target
    threads: int
    algorithm: Algorithm | None = None
    decisions: object = None
    stream: Stream | None = None
    candidates: Sequence[Candidate] = field(default=(), compare=False)

    @property
    def label(self) -> str:
        """The workload's name, and the algorithm where it is not the plain one."""
        name, algorithm = self.workload.name(), self.algorithm
        says_it_already = algorithm is None or algorithm.numerics is Numerics.EXACT or algorithm.name in name
        return name if algorithm is None or says_it_already else f"{name}_{algorithm.name}"

    @property
    def symbol(self) -> str:
        """The function's name in the library."""
        algorithm = None if self.algorithm is None else self.algorithm.name
        identity = f"{self.workload!r} {algorithm} {self.decisions!r} {self.threads} {self.stream!r}"
        return f"{self.label}_{hashlib.sha256(identity.encode()).hexdigest()[:10]}"

    def pack_weight(self, weight: np.ndarray) -> np.ndarray:
        """Weights [out, in / groups, kh, kw] as this kernel of a convolution takes them."""
        assert self.algorithm is not None
        return self.algorithm.pack(weight, self.workload, self.decisions)

    def function(self) -> tirx.PrimFunc:
        """The scheduled and guarded code."""
        if self.algorithm is not None:
            stream = () if self.stream is None else (self.stream,)
            return self.algorithm.schedule(self.workload, self.decisions, *stream)
        return backend_of(self.target.kind).kernels[type(self.workload)](self.workload, self.target, self.threads)


@dataclass(frozen=True)
class Scheduler:
    """Chooses algorithm and decisions of every kernel for one target and number of threads.

    Attributes:
        measurements: Records and latency table; None leaves both out.
    """

    target: Target
    threads: int
    numerics: Numerics = Numerics.FAST
    plan: Plan = Plan()
    measurements: Measurements | None = None

    def schedule(self, workload: Workload) -> ScheduledKernel:
        """The kernel of a workload that there is one way to compute."""
        return ScheduledKernel(workload, self.target, self.threads)

    def plan_sites(self, sites: Sequence[Site]) -> list[ScheduledKernel]:
        """The kernels of all convolutions of a network.

        Raises:
            UsageError: The plan wants an algorithm that cannot compute one of them here.
        """
        chooser = Chooser(self.target, self.threads, self.numerics, self.plan, self.measurements)
        return [self._chosen(chooser.choose(site)) for site in sites]

    def _chosen(self, choice: Choice) -> ScheduledKernel:
        chosen = choice.candidate
        return ScheduledKernel(
            chosen.workload, self.target, self.threads, chosen.algorithm, chosen.decisions, candidates=choice.ranked
        )
