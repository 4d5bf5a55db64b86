"""Who asks for whose weights."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lascompile.lower.kernels import ScheduledKernel
from lascompile.lower.lookahead import look_ahead
from lascompile.lower.program import Buffer, Program, Role, Step
from lascompile.schedules.cpu import algorithms
from lascompile.schedules.cpu.bf16x3_conv import TileDecisions
from lascompile.schedules.cpu.bf16x3_loops import TileNest, weight_shape
from lascompile.schedules.cpu.row_conv import Decisions
from lascompile.schedules.weight_stream import Stream, Upcoming
from lascompile.target import parse_target
from lascompile.workload import CompactWorkload, ConvWorkload

SMALL = ConvWorkload(196, 196, 1, 1, 64, 64, gathers=False, counted=True, scatters=False)
LARGE = ConvWorkload(196, 196, 9, 1, 512, 512, gathers=True, counted=True, scatters=False)
TARGET = parse_target("llvm")
DIRECT = Decisions(14, 32, 8, 1, 2, rows_inside=False)


def weights(workload: ConvWorkload) -> tuple[int, ...]:
    """Shape of the packed weights; how they are shared out does not change it."""
    return weight_shape(workload, TileNest(1, 1, 1))


def conv(name: str, workload: ConvWorkload, decisions: object) -> Step:
    shape = weights(workload)
    algorithm = algorithms.DIRECT if decisions is DIRECT else algorithms.BF16X3
    buffers = {
        argument: Buffer(f"{name}.{argument}", shape if argument == "weight" else (1,), role=Role.CONSTANT)
        for argument in workload.arguments()
    }
    kernel = ScheduledKernel(workload, TARGET, 2, algorithm, decisions)
    return Step(kernel, tuple(buffers.values()), (buffers["output"],), name)


def lists(name: str) -> Step:
    output = Buffer(f"{name}.list", (1,))
    return Step(ScheduledKernel(CompactWorkload(196), TARGET, 2), (output,), (output,), name)


def stream_of(step: Step) -> Stream | None:
    assert isinstance(step.kernel, ScheduledKernel)
    return step.kernel.stream


def names(buffers: Sequence[Buffer]) -> list[str]:
    return [buffer.name for buffer in buffers]


def test_each_asks_for_the_next_one_on_tiles() -> None:
    """What runs in between on vectors, or on no weights at all, is neither asked nor asked for."""
    steps = [
        conv("first", SMALL, TileDecisions(1, 2, 1)),
        lists("between"),
        conv("second", LARGE, TileDecisions(2, 1, 4)),
        conv("direct", SMALL, DIRECT),
        conv("third", SMALL, TileDecisions(1, 2, 1)),
    ]
    given = [step.arguments for step in steps]
    look_ahead(Program([], [], steps))
    first, between, second, direct, third = steps
    # Half of the larger weights is more than one core may have asked for: 512 KB in lines of 64 bytes.
    large = Upcoming(weights(LARGE), walkers=2, lines=8192)
    small = Upcoming(weights(SMALL), walkers=1, lines=2 * 2 * 4096 // 64)
    assert stream_of(first) == Stream(0, large)
    assert stream_of(second) == Stream(8192, small)
    assert stream_of(third) == Stream(small.lines)
    assert stream_of(between) is None and stream_of(direct) is None
    assert names(first.arguments) == [*names(given[0][:-1]), "second.weight", "first.output"]
    assert names(second.arguments) == [*names(given[2][:-1]), "third.weight", "second.output"]
    assert [step.arguments for step in (between, direct, third)] == [given[1], given[3], given[4]]


@pytest.mark.parametrize("alone", [[], [conv("direct", SMALL, DIRECT)], [lists("list")]])
def test_nothing_to_join(alone: list[Step]) -> None:
    program = Program([], [], list(alone))
    look_ahead(program)
    assert program.steps == alone and all(stream_of(step) is None for step in alone)


def test_a_single_one_asks_for_its_own() -> None:
    step = conv("only", SMALL, TileDecisions(1, 2, 1))
    given = step.arguments
    look_ahead(Program([], [], [step]))
    assert stream_of(step) == Stream(0) and step.arguments == given


def test_kernels_that_ask_differently_are_different_functions() -> None:
    steps = [conv(name, SMALL, TileDecisions(1, 2, 1)) for name in "abcd"]
    look_ahead(Program([], [], steps))
    first, second, third, last = (step.kernel.symbol for step in steps)
    assert second == third and len({first, second, last}) == 3


def test_the_code_takes_what_is_asked_for() -> None:
    steps = [conv("a", SMALL, TileDecisions(1, 2, 1)), conv("b", LARGE, TileDecisions(2, 1, 4))]
    look_ahead(Program([], [], steps))
    for step in steps:
        parameters = [str(param.name) for param in step.kernel.function().params]
        assert len(parameters) == len(step.arguments)
        assert parameters[-2:] == (["upcoming", "output"] if step is steps[0] else ["count", "output"])
