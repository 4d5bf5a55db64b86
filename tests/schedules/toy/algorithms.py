"""One algorithm: a row of one pixel at a time, in the order of the definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule

from lascompile.kernels import row_conv
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.guard import ROW_TILES, guard_rows
from lascompile.schedules.numerics import Numerics
from lascompile.schedules.space import Space
from lascompile.schedules.work import Work
from lascompile.workload import ConvWorkload


@dataclass(frozen=True)
class OneByOneDecisions:
    """There is nothing to decide but the width of packed weights."""

    width: int = 1


def schedule_one_by_one(workload: ConvWorkload, decisions: OneByOneDecisions) -> tirx.PrimFunc:
    """Row after row; the sums of one row are made where it is stored."""
    sch = Schedule(row_conv.define_row_conv(workload, decisions.width))
    row = sch.get_loops(sch.get_sblock("store"))[0]
    sch.compute_at(sch.get_sblock("acc"), row, preserve_unit_loops=True)
    sch.annotate(row, ROW_TILES, [1, 1])
    return guard_rows(
        sch.mod["main"], workload.rows, workload.counted, not workload.scatters, workload.in_place
    )


def _work(workload: ConvWorkload, decisions: Any, count: float, engine: Any) -> Work:
    fmas = count * workload.taps * workload.in_channels * workload.out_channels / workload.groups
    return Work(engines=1, fmas=fmas, loads=2 * fmas, stalls=3 * fmas, tiles=count)


ONE_BY_ONE = Algorithm(
    name="one_by_one",
    numerics=Numerics.EXACT,
    features=frozenset(),
    supports=lambda workload: isinstance(workload, ConvWorkload),
    decisions=OneByOneDecisions,
    decide=lambda workload, target, threads: OneByOneDecisions(),
    space=lambda workload, target, threads: Space.around(OneByOneDecisions(), {}, lambda decisions: True),
    describe=lambda workload, decisions, target, rate: [float(workload.rows), rate],
    schedule=schedule_one_by_one,
    pack=lambda weight, workload, decisions: row_conv.pack_weight(weight, workload, decisions.width),
    upcoming=None,
    variants=lambda workload: iter([row_conv.define_row_conv(workload, width=1)]),
    work=_work,
    tolerance=1e-5,
    nan_reach=None,
)
