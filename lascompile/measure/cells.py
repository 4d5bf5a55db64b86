"""Which cells of the latency table a network needs, and how each is measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lascompile.latency import Cell
from lascompile.measure.kernels import MeasuredKernel
from lascompile.plan.known import known_algorithms
from lascompile.plan.measured import Measurements
from lascompile.records.fields import to_fields
from lascompile.records.matching import is_dynamic
from lascompile.tune.trial import Job
from lascompile.tune.tuner import job_of


@dataclass(frozen=True)
class Measurable:
    """A cell, and what a worker has to know to measure it.

    Attributes:
        kernel: At the cell's activation rate.
        cell: The place in the table.
        job: What is built and run.
    """

    kernel: MeasuredKernel
    cell: Cell
    job: Job

    @property
    def library(self) -> object:
        """Equal for cells that one library serves."""
        return self.job.workload, self.job.algorithm, self.job.decisions


def plan_cells(
    kernels: Iterable[MeasuredKernel], rates: Sequence[float], measurements: Measurements, seed: int = 0
) -> list[Measurable]:
    """A cell for each kernel at each of `rates`, or one where the rate does not matter.

    Decisions are those that `build` would take now: of the record that serves the kernel, else the default ones. The
    latencies of decisions that nobody builds say nothing about what is built.

    Args:
        kernels: What to measure.
        rates: Activation rates.
        measurements: Where records are looked up.
        seed: Of masks and numbers.
    """
    return [
        _measurable(at_rate, measurements, seed)
        for kernel in kernels
        for at_rate in (_at(kernel, rates) if is_dynamic(kernel.task.workload) else [kernel])
    ]


def _at(kernel: MeasuredKernel, rates: Sequence[float]) -> list[MeasuredKernel]:
    return [MeasuredKernel(kernel.task.at(rate), kernel.granularity, kernel.stage) for rate in rates]


def _measurable(kernel: MeasuredKernel, measurements: Measurements, seed: int) -> Measurable:
    task, algorithm = kernel.task, kernel.task.algorithm
    default = algorithm.decide(task.workload, task.setting.target, task.setting.threads)
    decisions = measurements.look_up(algorithm, task.workload, default).decisions
    definition = known_algorithms(task.workload, task.setting.target.kind, [algorithm.name])[algorithm.name].definition
    cell = Cell(
        task.record_task, algorithm.name, definition, to_fields(decisions), kernel.granularity, kernel.stage
    )
    return Measurable(kernel, cell, job_of(task, decisions, seed))
