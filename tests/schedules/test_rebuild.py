"""Statements rebuilt: equal where nothing changes, and changed where a change is asked for."""

from __future__ import annotations

import pytest
from tvm import s_tir, tirx
from tvm.ir import assert_structural_equal

from lascompile.kernels.row_map import define_row_map
from lascompile.schedules.rebuild import change_below, with_fields, without_notes
from lascompile.workload import MapWorkload

FUNC = define_row_map(MapWorkload(20, 20, 4, "Identity", ("row",), (20,), counted=True, scatters=False))


def number(value: int) -> tirx.Stmt:
    return tirx.Evaluate(tirx.const(value, "int32"))


def plus_one(stmt: tirx.Stmt) -> tirx.Stmt:
    """Other numbers in what only evaluates one."""
    if isinstance(stmt, tirx.Evaluate):
        return number(int(stmt.value) + 1)
    return change_below(stmt, plus_one)


def loop(body: tirx.Stmt, **notes: int) -> tirx.For:
    ends = tirx.const(0, "int32"), tirx.const(3, "int32")
    return tirx.For(tirx.Var("i", "int32"), *ends, tirx.ForKind.PARALLEL, body, None, notes)


def block(body: tirx.Stmt) -> tirx.Stmt:
    return s_tir.SBlockRealize([], tirx.const(True, "bool"), s_tir.SBlock([], [], [], "block", body))


CONDITION = tirx.Var("c", "bool")
NODE = tirx.Var("n", "int32")
WITH_BODIES = {
    "sequence": lambda *parts: tirx.SeqStmt([*parts]),
    "loop": lambda first, _: loop(first, kept=1),
    "both branches": lambda *parts: tirx.IfThenElse(CONDITION, *parts),
    "one branch": lambda first, _: tirx.IfThenElse(CONDITION, first, None),
    "attribute": lambda first, _: tirx.AttrStmt(NODE, "key", tirx.const(1, "int32"), first),
    "block": lambda first, _: block(first),
}


@pytest.mark.parametrize("kind", WITH_BODIES)
def test_what_is_below_changes_and_nothing_else(kind: str) -> None:
    made = WITH_BODIES[kind]
    changed = change_below(made(number(1), number(5)), plus_one)
    assert_structural_equal(changed, made(number(2), number(6)), map_free_vars=True)


def test_what_has_nothing_below_stays() -> None:
    stmt = number(1)
    assert change_below(stmt, plus_one).same_as(stmt)


def test_a_kernel_without_changes() -> None:
    def unchanged(stmt: tirx.Stmt) -> tirx.Stmt:
        return change_below(stmt, unchanged)

    assert_structural_equal(FUNC.with_body(unchanged(FUNC.body)), FUNC)


def test_blocks_that_compute_elements_are_not_entered() -> None:
    seen: list[tirx.Stmt] = []

    def look(stmt: tirx.Stmt) -> tirx.Stmt:
        seen.append(stmt)
        return change_below(stmt, look)

    look(FUNC.body)
    blocks = [stmt for stmt in seen if isinstance(stmt, s_tir.SBlockRealize)]
    assert blocks[-1].block.iter_vars and not blocks[0].block.iter_vars
    assert not any(isinstance(stmt, tirx.BufferStore) for stmt in seen)


def test_annotations_are_left_out_by_name() -> None:
    found = without_notes(loop(number(1), kept=1, one=2, two=3), "one", "two", "three")
    assert dict(found.annotations) == {"kept": 1}


def test_fields_that_a_statement_has_not() -> None:
    with pytest.raises(AssertionError, match="SeqStmt has no {'body'}"):
        with_fields(tirx.SeqStmt([number(1), number(2)]), body=number(3))
