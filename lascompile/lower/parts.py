"""What each step of a program is: the block and the part that it serves, and its algorithm; for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lascompile.analysis.blocks import Block
from lascompile.lower.kernels import ScheduledKernel
from lascompile.lower.program import Program, Step


@dataclass(frozen=True)
class StepParts:
    """What a step is for.

    Attributes:
        block: The block's name, or empty.
        part: "masker", "lists", "conv", "scatter" or "other".
        forced: True if the step also runs when the decisions are given.
    """

    block: str
    part: str
    forced: bool


def find_parts(program: Program, blocks: Sequence[Block]) -> dict[int, StepParts]:
    """By the step's id."""
    block_of_node = {conv.name: block.name for block in blocks for conv in block.convolutions}
    block_of_mask = {block.mask: block.name for block in reversed(blocks) if block.mask}
    forced = {id(step) for step in program.steps_after_decisions()}
    masker_block = _masker_blocks(program, forced, block_of_mask)
    parts = {}
    for step in program.steps:
        if id(step) in forced:
            parts[id(step)] = StepParts(block_of_node.get(step.node, ""), step.part, True)
        else:
            parts[id(step)] = StepParts(masker_block.get(id(step), ""), "masker", False)
    return parts


def algorithms_of(program: Program) -> dict[str, str]:
    """By node, the algorithm of each convolution that there are several ways to compute."""
    kernels = [(step.node, step.kernel) for step in program.steps if isinstance(step.kernel, ScheduledKernel)]
    return {node: kernel.algorithm.name for node, kernel in kernels if kernel.algorithm is not None}


def _masker_blocks(program: Program, forced: set[int], block_of_mask: Mapping[str, str]) -> dict[int, str]:
    """The block of each step that only serves a decision: walk back from each decision."""
    writers: dict[int, Step] = {}
    reads: dict[int, list[Step]] = {}
    for step in program.steps:
        reads[id(step)] = [writers[id(b.root)] for b in step.arguments if id(b.root) in writers]
        for buffer in step.outputs:
            writers[id(buffer.root)] = step
    found: dict[int, str] = {}
    for name, buffer in program.decisions.items():
        pending = [writers[id(buffer.root)]] if id(buffer.root) in writers else []
        while pending:
            step = pending.pop()
            if id(step) not in forced and id(step) not in found:
                found[id(step)] = block_of_mask.get(name, "")
                pending.extend(reads[id(step)])
    return found
