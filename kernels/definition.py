"""The frame that every kernel definition shares: a function over named buffers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import tirx
from tvm.ir import Expr
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as T

BufferSpec = tuple[Sequence[int], str]
"""Shape and dtype of a buffer."""

KEEPS_BUFFERS = "lascompile.keeps_buffers"
"""Attribute of a function that was written loop for loop, and whose local buffers are as large as it says."""

INDEPENDENT = "lascompile.independent"
"""Annotation of a loop whose iterations do not depend on each other, in a definition that is no block."""


def define(
    arguments: Sequence[str],
    buffers: Mapping[str, BufferSpec],
    body: Callable[[Mapping[str, tirx.Var]], None],
    keeps_buffers: bool = False,
) -> tirx.PrimFunc:
    """Build the function `main` over the `arguments`, in order, with what `body` writes in the builder."""
    with IRBuilder() as builder:
        with T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True} | ({KEEPS_BUFFERS: True} if keeps_buffers else {}))
            declared = {argument: T.arg(argument, T.buffer(*buffers[argument])) for argument in arguments}
            body(declared)
    return builder.get()


def with_residual(arguments: Sequence[str], in_place: bool) -> Sequence[str]:
    """The arguments of a definition: a residual in place is one of its own until the guard merges it with the output.

    A block may not read what it writes, or no schedule could move it.
    """
    return (*arguments[:-1], "residual", arguments[-1]) if in_place else arguments


def independent(extent: Expr | int) -> Any:
    """A loop of `extent` iterations that may run in any order, or at once."""
    return T.serial(extent, annotations={INDEPENDENT: True})
