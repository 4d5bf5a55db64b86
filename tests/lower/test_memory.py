"""The memory plan: what is alive at the same time never overlaps, and little is wasted."""

from __future__ import annotations

from itertools import combinations
from typing import cast

import numpy as np
import onnx_ir as ir
from hypothesis import given, settings
from hypothesis import strategies as st

from lascompile.frontend.simplify import simplify
from lascompile.lower.kernels import Scheduler
from lascompile.lower.lower import analyse, lower
from lascompile.lower.memory import MemoryPlan, plan_memory
from lascompile.lower.program import Buffer, Kernel, Program, Role, Step
from lascompile.manifest import ALIGNMENT
from lascompile.target import parse_target
from tests.masked_nets import masked_network

NO_KERNEL = cast(Kernel, None)
SHARED = (Role.WORKSPACE, Role.PINNED)


def lives(program: Program) -> dict[Buffer, range]:
    """The steps during which the elements of each workspace buffer must stay."""
    touched: dict[Buffer, list[int]] = {}
    for i, step in enumerate(program.steps):
        for root in {buffer.root for buffer in step.arguments}:
            touched.setdefault(root, []).append(i)
    always = range(-1, len(program.steps) + 1)
    return {
        root: always if root.role is Role.PINNED else range(steps[0], steps[-1] + 1)
        for root, steps in touched.items()
        if root.role in SHARED
    }


def peak(program: Program) -> int:
    """The most bytes that are alive at once, each buffer rounded up."""
    alive = [(-(-root.nbytes // ALIGNMENT) * ALIGNMENT, life) for root, life in lives(program).items()]
    return max(sum(nbytes for nbytes, life in alive if step in life) for step in range(-1, len(program.steps) + 1))


def check(program: Program, plan: MemoryPlan) -> None:
    alive = lives(program)
    assert plan.offsets.keys() == alive.keys()
    for root, offset in plan.offsets.items():
        assert offset % ALIGNMENT == 0 and 0 <= offset <= plan.nbytes - root.nbytes
    for a, b in combinations(alive, 2):
        together = max(alive[a].start, alive[b].start) < min(alive[a].stop, alive[b].stop)
        apart = plan.offsets[a] + a.nbytes <= plan.offsets[b] or plan.offsets[b] + b.nbytes <= plan.offsets[a]
        assert apart or not together, f"{a.name} and {b.name} share memory while both are alive"


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Steps that read and write some of a few buffers, of which some are pinned, some views, some the caller's."""
    buffers = []
    for i in range(draw(st.integers(1, 12))):
        role = draw(st.sampled_from([Role.WORKSPACE] * 6 + [Role.PINNED, Role.INPUT, Role.OUTPUT, Role.CONSTANT]))
        buffers.append(Buffer(f"b{i}", (draw(st.integers(0, 400)),), draw(st.sampled_from(["float32", "bool"])), role))
    views = [buffer.view((1, *buffer.shape)) for buffer in buffers if draw(st.booleans())]
    some = st.lists(st.sampled_from([*buffers, *views]), min_size=1, max_size=4)
    steps = [Step(NO_KERNEL, tuple(draw(some)), (), f"n{i}") for i in range(draw(st.integers(0, 15)))]
    return Program([], [], steps)


@settings(max_examples=300, derandomize=True)
@given(programs())
def test_nothing_alive_overlaps(program: Program) -> None:
    plan = plan_memory(program)
    check(program, plan)
    assert peak(program) <= plan.nbytes <= 1.5 * peak(program)


def test_buffers_share_memory_after_their_lives() -> None:
    a, b, c = (Buffer(name, (256,)) for name in "abc")
    program = Program([], [], [Step(NO_KERNEL, (a, b), (b,), "1"), Step(NO_KERNEL, (b, c), (c,), "2")])
    plan = plan_memory(program)
    assert plan.nbytes == 2 * 1024
    assert plan.offsets[a] == plan.offsets[c] != plan.offsets[b]


def test_pinned_buffers_share_with_nobody() -> None:
    """Their elements are read after the run, and may be written before it."""
    a, b, c = (Buffer(name, (256,)) for name in "abc")
    b.role = Role.PINNED
    program = Program([], [], [Step(NO_KERNEL, (buffer,), (buffer,), buffer.name) for buffer in (a, b, c)])
    plan = plan_memory(program)
    assert plan.offsets[a] == plan.offsets[c]
    assert plan.nbytes == 2 * 1024


def test_program_without_workspace() -> None:
    given = Buffer("x", (4,), role=Role.INPUT)
    assert plan_memory(Program([given], [], [Step(NO_KERNEL, (given,), (), "x")])) == MemoryPlan({}, 0)


def test_deep_network_needs_no_more_than_a_shallow_one() -> None:
    """Feature maps are reused from block to block; only decisions, counts and the like add up."""
    scheduler = Scheduler(parse_target("llvm"), 1)
    sizes = []
    for blocks in (2, 6):
        graph = simplify(ir.from_proto(masked_network(blocks=blocks, size=32))).graph
        program = lower(graph, analyse(graph), scheduler)
        plan = plan_memory(program)
        check(program, plan)
        assert plan.nbytes <= 1.05 * peak(program)
        sizes.append(plan.nbytes)
    assert sizes[1] <= sizes[0] + 4 * 4 * ALIGNMENT
    assert sizes[0] < 6 * np.prod([32 + 32 * 32, 8, 4])
