"""Cells that take no time, and stand-ins for what builds, checks and visits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lascompile.latency import LatencyTable
from lascompile.measure.cells import Measurable, plan_cells
from lascompile.measure.kernels import MeasuredKernel
from lascompile.measure.visitor import Visit
from lascompile.plan.measured import Measurements
from lascompile.records import Failure, Latency, RecordStore
from lascompile.tune.runner import Outcome
from lascompile.tune.tasks import TuningTask
from lascompile.tune.trial import Job
from tests.tune.tiny import DENSE, FIXED, PACKED, SCATTER, task

STAGE = (32, 6, 6)
RATES = (0.25, 0.5, 1.0)


def measurements(folder: Path, of: TuningTask) -> Measurements:
    setting = of.setting
    return Measurements(RecordStore(folder), LatencyTable(folder), setting.target, setting.threads, setting.device)


def cells(folder: Path, rates: Sequence[float] = RATES, target: str = FIXED) -> list[Measurable]:
    """Two dynamic kernels at all rates, and one that is dense."""
    kernels = [MeasuredKernel(task(workload, target=target), (1, 1), STAGE) for workload in (PACKED, SCATTER)]
    kernels.append(MeasuredKernel(task(DENSE, target=target), None, STAGE))
    return plan_cells(kernels, rates, measurements(folder, kernels[0].task))


class StubVisitor:
    """Takes seconds from a function of the job and the number of the pass; calls `after` behind each visit."""

    def __init__(
        self,
        seconds: Callable[[Job, int], float] = lambda job, number: 1e-3 * job.rate,
        wrong: Callable[[Job], bool] = lambda job: False,
        crashes: Callable[[Job], bool] = lambda job: False,
        after: Callable[[], None] = lambda: None,
        width: int = 1,
    ) -> None:
        self.seconds, self.wrong, self.crashes, self.after, self.width = seconds, wrong, crashes, after, width
        self.checked: list[Job] = []
        self.visits: list[Visit] = []

    def check(self, jobs: Sequence[tuple[Job, Path]]) -> Iterator[tuple[int, Outcome]]:
        for position, (job, _) in enumerate(jobs):
            self.checked.append(job)
            failed = Outcome(failure=Failure("wrong", "largest error 1"))
            yield position, failed if self.wrong(job) else Outcome(Latency.of([1e-3]))

    def visit(self, visits: Sequence[Visit]) -> Iterator[tuple[int, list[list[float]] | Failure]]:
        # As from boards: not in order.
        for position, visit in reversed(list(enumerate(visits))):
            self.visits.append(visit)
            if any(self.crashes(job) for job in visit.jobs):
                yield position, Failure("run", "the kernel crashed")
            else:
                runs = visit.rhythm.rounds * visit.rhythm.block
                yield position, [[self.seconds(job, visit.seed[1])] * runs for job in visit.jobs]
            self.after()
