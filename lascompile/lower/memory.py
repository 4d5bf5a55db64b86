"""Where in one block of memory each workspace buffer lies, so that buffers whose lives do not overlap share it."""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.lower.program import Buffer, Program, Role
from lascompile.manifest import ALIGNMENT


@dataclass(frozen=True)
class MemoryPlan:
    """Byte offset of every workspace buffer that owns memory, and the size of the whole."""

    offsets: dict[Buffer, int]
    nbytes: int


@dataclass(frozen=True)
class _Life:
    buffer: Buffer
    first: int
    last: int

    def overlaps(self, other: _Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def plan_memory(program: Program) -> MemoryPlan:
    """Place the largest buffers first, each at the lowest offset that its contemporaries leave free.

    A pinned buffer lives from before the first step until after the last.
    """
    lives = sorted(_lives(program), key=lambda life: (-life.buffer.nbytes, life.first))
    placed: list[tuple[_Life, int]] = []
    for life in lives:
        taken = sorted(
            (offset, offset + _aligned(other.buffer.nbytes)) for other, offset in placed if life.overlaps(other)
        )
        placed.append((life, _lowest_gap(taken, _aligned(life.buffer.nbytes))))
    total = max((offset + _aligned(life.buffer.nbytes) for life, offset in placed), default=0)
    return MemoryPlan({life.buffer: offset for life, offset in placed}, total)


def _lives(program: Program) -> list[_Life]:
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for position, step in enumerate(program.steps):
        for buffer in step.arguments:
            first.setdefault(buffer.root, position)
            last[buffer.root] = position
    pinned = [_Life(buffer, -1, len(program.steps)) for buffer in first if buffer.role is Role.PINNED]
    shared = [_Life(buffer, first[buffer], last[buffer]) for buffer in first if buffer.role is Role.WORKSPACE]
    return pinned + shared


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _lowest_gap(taken: list[tuple[int, int]], nbytes: int) -> int:
    offset = 0
    for start, end in taken:
        if start - offset >= nbytes:
            break
        offset = max(offset, end)
    return offset
