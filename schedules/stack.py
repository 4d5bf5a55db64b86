"""Keep the tiles of sums on the stack, where LLVM turns them into registers.

TVM allots local buffers of more than a kilobyte from a heap. LLVM then still sums up in registers, but stores every
sum to memory and loads it again behind the loop, and within the loop as soon as it holds anything that may read memory.
On the stack there is no memory to keep up to date: the register tile has no address at all.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline

PIPELINE = "lascompile_cpu"
"""The name under which the lowering pipeline is registered with TVM."""

_MOST_BYTES = 16384
_ON_STACK = {"disable_lower_builtin": tirx.const(True, "bool")}


def register_pipeline() -> str:
    """Register TVM's own pipeline with the step described above at its end; returns its name."""
    tirx.register_tir_pipeline(PIPELINE, _pipeline)
    return PIPELINE


def _pipeline() -> tuple[tvm.ir.transform.Pass, Any, Any]:
    """The triple that TVM's registry asks for: the passes, and what finishes host and device code."""
    lower, finalize_host, finalize_device = default_s_tir_pipeline()
    keep = tirx.transform.prim_func_pass(lambda func, _mod, _context: func.with_body(_rebuild(func.body)), opt_level=0)
    return tvm.ir.transform.Sequential([lower, keep]), finalize_host, finalize_device


def _rebuild(stmt: tirx.Stmt) -> tirx.Stmt:
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_rebuild(part) for part in stmt.seq])
    if isinstance(stmt, tirx.For):
        body = _rebuild(stmt.body)
        return tirx.For(
            stmt.loop_var, stmt.min, stmt.extent, stmt.kind, body, stmt.thread_binding, stmt.annotations
        )
    if isinstance(stmt, tirx.AttrStmt):
        return tirx.AttrStmt(stmt.node, stmt.attr_key, stmt.value, _rebuild(stmt.body))
    if isinstance(stmt, tirx.IfThenElse):
        otherwise = _rebuild(stmt.else_case) if stmt.else_case is not None else None
        return tirx.IfThenElse(stmt.condition, _rebuild(stmt.then_case), otherwise)
    if isinstance(stmt, tirx.AllocBuffer) and _is_small(stmt.buffer):
        return tirx.AllocBuffer(stmt.buffer, _ON_STACK)
    return stmt


def _is_small(buffer: tirx.Var) -> bool:
    elements = 1
    for dim in buffer.shape:
        if not isinstance(dim, tirx.IntImm):
            return False
        elements *= int(dim)
    return elements * tvm.runtime.DataType(buffer.dtype).itemsize <= _MOST_BYTES
