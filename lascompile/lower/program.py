"""A program: buffers, and steps that run kernels on them. What a compiled model is, before it is machine code."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from tvm import tirx


class Role(enum.Enum):
    """Who provides a buffer's memory."""

    INPUT = "input"
    OUTPUT = "output"
    CONSTANT = "constant"
    WORKSPACE = "workspace"
    PINNED = "pinned"
    """Workspace that no other buffer shares, so that it can be read, or written beforehand, from outside."""


@dataclass(eq=False)
class Buffer:
    """A tensor that steps read and write.

    Attributes:
        name: For reports.
        shape: Static shape.
        dtype: NumPy's name of the element type.
        role: Who provides the memory. It may change, so of a view that of the root counts.
        data: The elements of a constant.
        view_of: The buffer whose memory this one shows under another shape.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    role: Role = Role.WORKSPACE
    data: np.ndarray | None = None
    view_of: Buffer | None = None

    @property
    def root(self) -> Buffer:
        """The buffer that owns the memory."""
        return self if self.view_of is None else self.view_of.root

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def view(self, shape: Sequence[int]) -> Buffer:
        """The same memory under another `shape` of as many elements."""
        if tuple(shape) == self.shape:
            return self
        if self.data is not None:  # a constant is stored by its elements, in whichever shape
            return Buffer(self.name, tuple(shape), self.dtype, self.role, self.data.reshape(shape))
        return Buffer(self.name, tuple(shape), self.dtype, self.role, view_of=self)


class Kernel(Protocol):
    """Something that can be compiled into one function over buffers."""

    @property
    def label(self) -> str:
        """What it does, in words of the field."""
        ...

    @property
    def symbol(self) -> str:
        """The function's name in the library; equal kernels share it."""
        ...

    def function(self) -> tirx.PrimFunc:
        """The scheduled code."""
        ...


@dataclass(eq=False)
class Step:
    """One call of a kernel.

    Attributes:
        kernel: What runs.
        arguments: Buffers in the kernel's order.
        outputs: Those of the arguments that are written.
        node: The ONNX node, or the value, that the step serves.
        part: What it does for a block: "masker", "lists", "conv", "scatter" or "other".
    """

    kernel: Kernel
    arguments: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    node: str
    part: str = "other"


@dataclass
class Program:
    """The steps in order, and what goes in and comes out."""

    inputs: list[Buffer]
    outputs: list[Buffer]
    steps: list[Step] = field(default_factory=list)
    decisions: dict[str, Buffer] = field(default_factory=dict)
    """By mask decision name: the buffer that its elements stand in while the program runs; pinned."""

    def buffers(self) -> list[Buffer]:
        """Every buffer that a step touches, in order of first use."""
        return list(dict.fromkeys(buffer for step in self.steps for buffer in step.arguments))

    def steps_after_decisions(self) -> list[Step]:
        """The steps that are left when the decisions are given instead of computed."""
        given = {id(buffer.root) for buffer in self.decisions.values()}
        needed = {id(buffer.root) for buffer in self.outputs}
        kept: list[Step] = []
        for step in reversed(self.steps):
            written = {id(buffer.root) for buffer in step.outputs}
            if written & given or not written & needed:
                continue
            kept.append(step)
            needed |= {id(buffer.root) for buffer in step.arguments}
        return kept[::-1]
