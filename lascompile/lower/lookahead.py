"""Let each convolution ask for the weights of the next one, so that memory is never idle while cores multiply.

Before: each kernel waits for the first of its weights.
After: the kernel that runs before it has asked for them, and takes them as an argument to that end.

At batch 1 each weight comes from memory once an inference, and a kernel is done in less time than two latencies of all
its weights would take.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from lascompile.lower.kernels import ScheduledKernel
from lascompile.lower.program import Buffer, Program, Step
from lascompile.schedules.weight_stream import Stream, Upcoming
from lascompile.workload import ConvWorkload


def look_ahead(program: Program) -> None:
    """Join the convolutions of `program` that stream their weights."""
    streaming = [step for step in program.steps if _streams(step)]
    asked_for = {later: _upcoming(later) for _, later in pairwise(streaming)}
    for step, later in [*pairwise(streaming), *((last, None) for last in streaming[-1:])]:
        kernel = step.kernel
        assert isinstance(kernel, ScheduledKernel)
        fetched = asked_for[step].lines if step in asked_for else 0
        if later is None:
            step.kernel = replace(kernel, stream=Stream(fetched))
            continue
        step.kernel = replace(kernel, stream=Stream(fetched, asked_for[later]))
        step.arguments = (*step.arguments[:-1], _weight(later), step.arguments[-1])


def _streams(step: Step) -> bool:
    algorithm = step.kernel.algorithm if isinstance(step.kernel, ScheduledKernel) else None
    return algorithm is not None and algorithm.upcoming is not None


def _weight(step: Step) -> Buffer:
    assert isinstance(step.kernel, ScheduledKernel) and isinstance(step.kernel.workload, ConvWorkload)
    return step.arguments[step.kernel.workload.arguments().index("weight")]


def _upcoming(step: Step) -> Upcoming:
    """What the kernel before `step` asks for."""
    kernel = step.kernel
    assert isinstance(kernel, ScheduledKernel) and kernel.algorithm is not None
    assert kernel.algorithm.upcoming is not None
    return kernel.algorithm.upcoming(kernel.decisions, _weight(step).shape)
