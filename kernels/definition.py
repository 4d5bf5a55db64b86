"""The frame that every kernel definition shares: a function over named buffers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as T

BufferSpec = tuple[Sequence[int], str]
"""Shape and dtype of a buffer."""


def define(
    arguments: Sequence[str],
    buffers: Mapping[str, BufferSpec],
    body: Callable[[Mapping[str, tirx.Var]], None],
    in_place: bool = False,
) -> tirx.PrimFunc:
    """Build the function `main` over the `arguments`, in order, with what `body` writes in the builder.

    `in_place` says that the caller may pass one buffer twice, as residual and as output.
    """
    with IRBuilder() as builder:
        with T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": not in_place})
            declared = {argument: T.arg(argument, T.buffer(*buffers[argument])) for argument in arguments}
            body(declared)
    return builder.get()
