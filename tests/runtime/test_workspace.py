"""The plan of the workspace, on random programs: what lives at the same time lies apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lascompile.lower.memory import plan_memory
from lascompile.lower.program import Buffer, Program, Role, Step
from lascompile.manifest import ALIGNMENT


class Kernel:
    """Nothing of it matters here."""

    label = symbol = "kernel"

    def function(self):
        raise AssertionError("a plan compiles nothing")


@st.composite
def programs(draw):
    """Chains and meshes of steps over buffers of every role, some read under another shape."""
    roles = st.sampled_from([Role.WORKSPACE] * 6 + [Role.PINNED, Role.CONSTANT, Role.INPUT, Role.OUTPUT])
    sizes = st.lists(st.tuples(st.integers(1, 70), roles, st.sampled_from(["float32", "bool", "int64"])), max_size=14)
    roots = [Buffer(f"b{i}", (2, size), dtype, role) for i, (size, role, dtype) in enumerate(draw(sizes))]
    shown = roots + [root.view((root.shape[0] * root.shape[1],)) for root in roots]
    steps = []
    if shown:
        picks = st.lists(st.lists(st.sampled_from(shown), min_size=1, max_size=4, unique=True), max_size=12)
        steps = [Step(Kernel(), tuple(pick), tuple(pick[-1:]), "n") for pick in draw(picks)]
    return Program([], [], steps)


def lives(program):
    """By root buffer in the workspace: the steps from its first use to its last; a pinned one lives always."""
    found = {}
    for turn, step in enumerate(program.steps):
        for buffer in step.arguments:
            found.setdefault(buffer.root, set()).add(turn)
    return {
        buffer: set(range(len(program.steps))) if buffer.role is Role.PINNED else set(range(min(at), max(at) + 1))
        for buffer, at in found.items()
        if buffer.role in (Role.WORKSPACE, Role.PINNED)
    }


def padded(buffer):
    return -(-buffer.nbytes // ALIGNMENT) * ALIGNMENT


def most_at_once(alive):
    turns = set().union(*alive.values())
    return max((sum(padded(b) for b, at in alive.items() if turn in at) for turn in turns), default=0)


@given(programs())
def test_live_buffers_lie_apart(program):
    plan = plan_memory(program)
    alive = lives(program)
    assert set(plan.offsets) == set(alive)
    buffers = list(alive)
    for place, one in enumerate(buffers):
        for other in buffers[place + 1 :]:
            apart = (
                plan.offsets[one] + one.nbytes <= plan.offsets[other]
                or plan.offsets[other] + other.nbytes <= plan.offsets[one]
            )
            assert apart or not alive[one] & alive[other]
            assert apart or Role.PINNED not in (one.role, other.role)


@given(programs())
def test_the_block_holds_all_and_no_more_than_all(program):
    plan = plan_memory(program)
    alive = lives(program)
    assert all(offset % ALIGNMENT == 0 for offset in plan.offsets.values())
    assert plan.nbytes == max((plan.offsets[b] + padded(b) for b in alive), default=0)
    assert most_at_once(alive) <= plan.nbytes <= sum(map(padded, alive))


def chain(sizes):
    """Step i reads buffer i and writes buffer i + 1."""
    buffers = [Buffer(f"b{i}", (size,)) for i, size in enumerate(sizes)]
    steps = [Step(Kernel(), (source, sink), (sink,), "n") for source, sink in zip(buffers, buffers[1:], strict=False)]
    return Program([], [], steps)


def test_a_chain_needs_two_buffers():
    assert plan_memory(chain([16] * 10)).nbytes == 2 * 16 * 4


@pytest.mark.parametrize("count", [0, 1])
def test_no_steps_need_nothing(count):
    plan = plan_memory(chain([16] * count))
    assert (plan.offsets, plan.nbytes) == ({}, 0)


def test_views_follow_their_roots_in_an_artifact(artifact):
    """A decision is read under two shapes, and its memory is nobody else's."""
    stored = artifact.manifest.workspace
    arrays = artifact._workspace_arrays
    assert len(arrays) == len(stored)
    assert all(array.ctypes.data % ALIGNMENT == 0 for array in arrays)
    ends = [tensor.offset + array.nbytes for tensor, array in zip(stored, arrays, strict=True)]
    assert max(ends) <= artifact.manifest.workspace_bytes
    for mask in artifact.manifest.masks:
        decision = arrays[mask.workspace]
        sharing = [array for array in arrays if np.shares_memory(array, decision)]
        assert {array.shape for array in sharing} == {(2, 1, 4, 4), (32,)}
        assert {array.ctypes.data for array in sharing} == {decision.ctypes.data}


def test_memory_is_shared(artifact):
    total = sum(array.nbytes for array in artifact._workspace_arrays)
    assert artifact.manifest.workspace_bytes < total / 2
