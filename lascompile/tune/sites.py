"""The convolutions of a network, each in all forms in which an algorithm may take it.

A lowered network has each convolution in one form, that of the algorithm which was chosen, and the lists and tables of
that form alone. So the network is lowered several times: as `build` does, and then with a plan that wants an algorithm
wherever it brings a form that was not there yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from lascompile.analysis.gates import Mask
from lascompile.lower.kernels import ScheduledKernel, Scheduler
from lascompile.lower.lower import Analysis, lower
from lascompile.lower.program import Program, Step
from lascompile.plan.plan import Plan
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import backend_of
from lascompile.tune.activity import Activity
from lascompile.tune.activity_reader import ActivityReader
from lascompile.workload import ConvWorkload, Form, Workload


@dataclass(frozen=True)
class Site:
    """A convolution.

    Attributes:
        row_form: The form over rows, which every convolution has.
        chosen: The form and the algorithm by which it was computed when nothing was asked for.
        activities: By form, where its rows come from.
    """

    row_form: ConvWorkload
    chosen: tuple[Form, Algorithm]
    activities: dict[Form, Activity] = field(default_factory=dict)


def find_sites(graph: ir.Graph, analysis: Analysis, scheduler: Scheduler) -> list[Site]:
    """The convolutions and matrix products of `graph`, in the order in which they run."""
    masks = [gate.mask for gate in analysis.gates if gate.is_spatial]
    return read_sites(_programs(graph, analysis, scheduler), masks)


def read_sites(programs: Iterable[Program], masks: Sequence[Mask]) -> list[Site]:
    """The convolutions of `programs`: one network, lowered in several ways, of which the first one says what is chosen.

    Args:
        programs: As they were lowered.
        masks: The masks of the network's spatial gates.
    """
    sites: dict[str, Site] = {}
    for program in programs:
        reader = ActivityReader(program, masks)
        for step, kernel in _convolutions(program):
            form = _form(kernel)
            assert kernel.algorithm is not None
            site = sites.setdefault(step.node, Site(_row_form(kernel), (form, kernel.algorithm)))
            if form not in site.activities:
                site.activities[form] = reader.activity(step, form)
    return list(sites.values())


def _programs(graph: ir.Graph, analysis: Analysis, scheduler: Scheduler) -> Iterator[Program]:
    """One after the other: each holds all weights, packed its own way."""
    program = lower(graph, analysis, scheduler)
    kernels = {step.node: kernel for step, kernel in _convolutions(program)}
    yield program
    seen: dict[str, set[Workload]] = {node: {kernel.workload} for node, kernel in kernels.items()}
    for algorithm in backend_of(scheduler.target.kind).algorithms.values():
        wanted = {node: form for node, form in _forms_of(algorithm, kernels).items() if form not in seen[node]}
        if wanted:
            plan = Plan(dict.fromkeys(wanted, algorithm.name))
            yield lower(graph, analysis, replace(scheduler, plan=plan))
        for node, form in wanted.items():
            seen[node].add(form)


def _convolutions(program: Program) -> Iterator[tuple[Step, ScheduledKernel]]:
    for step in program.steps:
        if isinstance(step.kernel, ScheduledKernel) and step.kernel.algorithm is not None:
            yield step, step.kernel


def _forms_of(algorithm: Algorithm, kernels: Mapping[str, ScheduledKernel]) -> dict[str, Workload]:
    """By node, the form in which `algorithm` takes it, where it can."""
    return {
        node: candidate.workload
        for node, kernel in kernels.items()
        for candidate in kernel.candidates
        if candidate.algorithm is algorithm
    }


def _form(kernel: ScheduledKernel) -> Form:
    assert isinstance(kernel.workload, Form)
    return kernel.workload


def _row_form(kernel: ScheduledKernel) -> ConvWorkload:
    forms = (candidate.workload for candidate in kernel.candidates)
    return next(form for form in forms if isinstance(form, ConvWorkload))
