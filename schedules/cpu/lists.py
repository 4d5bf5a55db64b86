"""Schedule of kernels that make lists and tables on a CPU: lines that do not depend on each other run in parallel.

What is short and sequential by nature, as a list is, stays as its definition has it.
"""

from __future__ import annotations

from tvm import tirx

from lascompile.kernels.definition import INDEPENDENT
from lascompile.schedules.rebuild import change_below, with_fields, without_notes


def schedule_lines(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """Before: for line: …, which are independent. After: the same in parallel."""
    return func.with_body(_parallel(func.body))


def _parallel(stmt: tirx.Stmt) -> tirx.Stmt:
    if isinstance(stmt, tirx.For):
        if INDEPENDENT not in stmt.annotations:
            return stmt
        return with_fields(without_notes(stmt, INDEPENDENT), kind=tirx.ForKind.PARALLEL)
    return change_below(stmt, _parallel)
