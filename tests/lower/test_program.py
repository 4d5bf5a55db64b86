"""What is left of a program when the decisions are given, and what each of its steps is for."""

from __future__ import annotations

from collections import Counter
from typing import cast

import onnx
import onnx_ir as ir
import pytest

from lascompile.analysis.blocks import find_blocks
from lascompile.frontend.simplify import simplify
from lascompile.lower.kernels import Scheduler
from lascompile.lower.lower import analyse, lower
from lascompile.lower.parts import StepParts, find_parts
from lascompile.lower.program import Buffer, Kernel, Program, Role, Step
from lascompile.target import parse_target
from tests.differential.algorithms import forced
from tests.differential.networks import Net

NO_KERNEL = cast(Kernel, None)


def step(name: str, *arguments: Buffer) -> Step:
    """A step that writes its last argument."""
    return Step(NO_KERNEL, arguments, arguments[-1:], name)


def test_steps_that_only_serve_a_decision_are_left_out() -> None:
    x, y = Buffer("x", (1,), role=Role.INPUT), Buffer("y", (1,), role=Role.OUTPUT)
    logits, decision, rows = (Buffer(name, (1,)) for name in ("logits", "decision", "rows"))
    shared = Buffer("shared", (1,))
    steps = [
        step("stem", x, shared),
        step("masker", shared, logits),
        step("compare", logits, decision),
        step("list", decision.view((1, 1)), rows),
        step("unread", shared, Buffer("unread", (1,))),
        step("conv", shared, rows, y.view((1, 1))),
    ]
    program = Program([x], [y], steps, decisions={"decision": decision})
    assert [kept.node for kept in program.steps_after_decisions()] == ["stem", "list", "conv"]


def test_views_share_their_owner() -> None:
    buffer = Buffer("b", (2, 6), role=Role.PINNED)
    view = buffer.view((3, 4)).view((12,))
    assert view.root is buffer and view.nbytes == buffer.nbytes == 48
    assert buffer.view((2, 6)) is buffer


def parts_of(model: onnx.ModelProto) -> tuple[Program, dict[int, StepParts]]:
    graph = simplify(ir.from_proto(model)).graph
    analysis = analyse(graph)
    program = lower(graph, analysis, Scheduler(parse_target("llvm"), 1))
    blocks = find_blocks(graph, analysis.gates, analysis.demands, analysis.fills, 0.5)
    return program, find_parts(program, blocks)


def test_parts_of_two_blocks() -> None:
    """Each block has its masker, its lists, its convolutions and its scatter-add; stem and head belong to none."""
    net = Net()
    x = net.stem()
    for name in ("layer1.0", "layer1.1"):
        x = net.masked_block(x, 8, name, net.mask(x, 8, f"{name}.masker"))
    program, parts = parts_of(net.network(net.conv(x, 8, 5, 1, "head")))
    table = Counter((parts[id(step)].block, parts[id(step)].part) for step in program.steps)
    for block in ("layer1.0", "layer1.1"):
        assert table[block, "conv"] == 2
        assert table[block, "scatter"] == 1
        assert table[block, "lists"] >= 4
        assert table[block, "masker"] >= 3
    assert {step.node: parts[id(step)] for step in program.steps}["stem"] == StepParts("", "other", True)
    for step in program.steps:
        assert parts[id(step)].forced == (parts[id(step)].part != "masker")


@pytest.mark.parametrize("algorithm", ["direct", "winograd2"])
def test_no_list_is_made_that_nobody_reads(algorithm: str) -> None:
    """Tiles have lists of their own: that of the pixels is for kernels over rows, and for packing."""
    net = Net()
    x = net.stem()
    branch = net.conv(net.relu(net.conv(x, 8, 8, 3, "conv1")), 8, 8, 3, "conv2")
    with forced(algorithm):
        program, _ = parts_of(net.network(net.add("Add", x, net.add("Mul", branch, net.mask(x, 8, "masker")))))
    read = {buffer.root for step in program.steps for buffer in step.arguments if buffer not in step.outputs}
    made = [step for step in program.steps if step.part == "lists"]
    assert made and all(read.intersection(step.outputs) for step in made)
