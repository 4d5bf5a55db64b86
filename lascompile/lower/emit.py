"""Turn a draft and the kernels that its convolutions got into a program. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lascompile.lower.draft import Draft
from lascompile.lower.kernels import ScheduledKernel
from lascompile.lower.lookahead import look_ahead
from lascompile.lower.program import Buffer, Program, Step


def emit(draft: Draft, kernels: Sequence[ScheduledKernel]) -> Program:
    """The program of `draft`, whose open steps are computed by `kernels`, in order."""
    chosen, placed = iter(kernels), set[Step]()
    program = Program(draft.inputs, draft.outputs, [], draft.decisions)
    for step in draft.steps:
        closed = step if isinstance(step, Step) else step.close(next(chosen))
        for maker in _makers(closed, draft.makers, placed):
            maker.node = closed.node
            program.steps.append(maker)
        program.steps.append(closed)
    look_ahead(program)
    return program


def _makers(step: Step, makers: Mapping[Buffer, Step], placed: set[Step]) -> Iterator[Step]:
    """What makes the lists that `step` is the first to read, in an order in which they can run."""
    for buffer in step.arguments:
        maker = makers.get(buffer.root)
        if maker is not None and maker is not step and maker not in placed:
            placed.add(maker)
            yield from _makers(maker, makers, placed)
            yield maker
