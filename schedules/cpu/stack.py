"""Keep the tiles of sums on the stack, where LLVM turns them into registers.

TVM allots local buffers of more than a kilobyte from a heap. LLVM then still sums up in registers, but stores every
sum to memory and loads it again behind the loop, and within the loop as soon as it holds anything that may read memory.
On the stack there is no memory to keep up to date: the register tile has no address at all.

That goes for buffers of local scope. Others stay on the heap, where they start at a cache line; LLVM aligns what is on
the stack to 16 bytes only.
"""

from __future__ import annotations

import tvm
from tvm import tirx

from lascompile.schedules.rebuild import change_below

_MOST_BYTES = 16384
_ON_STACK = {"disable_lower_builtin": tirx.const(True, "bool")}


def keep_on_stack() -> tvm.ir.transform.Pass:
    """The pass, for the end of the lowering pipeline."""
    return tirx.transform.prim_func_pass(lambda func, _mod, _context: func.with_body(_kept(func.body)), opt_level=0)


def _kept(stmt: tirx.Stmt) -> tirx.Stmt:
    if isinstance(stmt, tirx.AllocBuffer) and stmt.buffer.scope() == "local" and _is_small(stmt.buffer):
        return tirx.AllocBuffer(stmt.buffer, _ON_STACK)
    return change_below(stmt, _kept)


def _is_small(buffer: tirx.Var) -> bool:
    elements = 1
    for dim in buffer.shape:
        if not isinstance(dim, tirx.IntImm):
            return False
        elements *= int(dim)
    return elements * tvm.runtime.DataType(buffer.dtype).itemsize <= _MOST_BYTES
