"""Rebuild a tree of statements with some of them changed: TVM's are immutable, and its mutators are for C++ alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tvm import s_tir, tirx

_S = TypeVar("_S", bound=tirx.Stmt)

_FIELDS: dict[type[tirx.Stmt], tuple[str, ...]] = {
    tirx.SeqStmt: ("seq",),
    tirx.For: ("loop_var", "min", "extent", "kind", "body", "thread_binding", "annotations"),
    tirx.AttrStmt: ("node", "attr_key", "value", "body"),
    tirx.IfThenElse: ("condition", "then_case", "else_case"),
    s_tir.SBlockRealize: ("iter_values", "predicate", "block"),
    s_tir.SBlock: (
        *("iter_vars", "reads", "writes", "name_hint", "body"),
        *("init", "alloc_buffers", "match_buffers", "annotations"),
    ),
}
"""What a statement is made from, in its constructor's order."""


def with_fields(stmt: _S, **fields: Any) -> _S:
    """`stmt` with other values of some of its fields."""
    kept = {name: getattr(stmt, name) for name in _FIELDS[type(stmt)]}
    unknown = fields.keys() - kept.keys()
    assert not unknown, f"{type(stmt).__name__} has no {unknown}"
    return type(stmt)(*(kept | fields).values())


def change_below(stmt: tirx.Stmt, change: Callable[[tirx.Stmt], tirx.Stmt]) -> tirx.Stmt:
    """`stmt`, in which each statement right below it has become what `change` makes of it.

    Nothing is below a block that computes an element for each point of its axes: that is for whoever scheduled it.
    """
    if isinstance(stmt, tirx.SeqStmt):
        return with_fields(stmt, seq=[change(part) for part in stmt.seq])
    if isinstance(stmt, tirx.For | tirx.AttrStmt):
        return with_fields(stmt, body=change(stmt.body))
    if isinstance(stmt, tirx.IfThenElse):
        otherwise = None if stmt.else_case is None else change(stmt.else_case)
        return with_fields(stmt, then_case=change(stmt.then_case), else_case=otherwise)
    if isinstance(stmt, s_tir.SBlockRealize) and not stmt.block.iter_vars:
        return with_fields(stmt, block=with_fields(stmt.block, body=change(stmt.block.body)))
    return stmt


def without_notes(loop: tirx.For, *names: str) -> tirx.For:
    """`loop` without the annotations `names`."""
    return with_fields(loop, annotations={key: note for key, note in loop.annotations.items() if key not in names})
