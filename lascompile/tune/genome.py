"""Decisions as MetaSchedule sees them: a trace that samples one value for each field.

A kernel's width changes how its weights are packed, and so its definition; the guard and prefetches come after the
schedule; some kernels are written with their loops in place. So no trace of one function could be the schedule.
Instead, MetaSchedule's space function samples every field of the decisions and writes what it sampled as annotations on
a function that does nothing else: its trace is replayed, mutated and compared like any other, and what it stands for is
the decisions that `build` applies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import SBlockRV
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as T

from lascompile.schedules.space import Space

_BLOCK = "decisions"
_PREFIX = "lascompile."


def carrier(name: str) -> tvm.IRModule:
    """The function that decisions are written on; `name` makes it that of one task."""
    with IRBuilder() as builder:
        with T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True, "lascompile.task": name})
            output = T.arg("output", T.buffer((1,), "int32"))
            with T.grid(1) as (i):
                with T.sblock(_BLOCK):
                    T.buffer_store(output, tirx.const(0, "int32"), [T.axis.spatial(1, i)])
    return tvm.IRModule({"main": builder.get()})


def space_function(space: Space) -> Callable[[Schedule], Schedule]:
    """MetaSchedule's space function over `space`: a `sample_categorical` for each field."""

    def sample(sch: Schedule) -> Schedule:
        _write(sch, space, None)
        return sch

    return sample


def schedule_of(module: tvm.IRModule, space: Space, decisions: Any) -> Schedule:
    """What the space function leaves when it samples `decisions`, which `space` has to hold."""
    sch = Schedule(module)
    position = space.position(decisions)
    assert position is not None
    _write(sch, space, position)
    return sch


def decisions_of(sch: Schedule, space: Space) -> Any:
    """The decisions that `sch` stands for."""
    notes = sch.get(_block(sch)).annotations
    return space.at(int(notes[f"{_PREFIX}{name}"]) for name in space.values)


def _write(sch: Schedule, space: Space, position: tuple[int, ...] | None) -> None:
    block = _block(sch)
    for field, (name, values) in enumerate(space.values.items()):
        chances = [1.0 / len(values)] * len(values)
        given = None if position is None else position[field]
        # The position of a value among those of its field: values need not be integers.
        index = sch.sample_categorical(list(range(len(values))), chances, decision=given)
        sch.annotate(block, f"{_PREFIX}{name}", index)


def _block(sch: Schedule) -> SBlockRV:
    return sch.get_sblock(_BLOCK)
