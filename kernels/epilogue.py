"""What is done to a result between its last operation and its store; the same for every kernel over rows."""

from __future__ import annotations

from collections.abc import Mapping

from tvm import tirx
from tvm.ir import Expr

from lascompile.kernels.activation import activate
from lascompile.workload import ROW_SLACK, ConvWorkload, Epilogue, MapWorkload


def finish(
    workload: ConvWorkload | MapWorkload, b: Mapping[str, tirx.Var], value: Expr, m: Expr, c: Expr
) -> Expr:
    """The epilogue of `workload` applied to `value`, the result of row m and channel c."""
    listed = b["list"][m] if workload.uses_list else None
    return finish_at(workload.epilogue, b, value, listed if workload.residual_listed else m + 1, listed, c)


def finish_at(
    epilogue: Epilogue, b: Mapping[str, tirx.Var], value: Expr, residual_row: Expr, dense_row: Expr | None, c: Expr
) -> Expr:
    """`epilogue` applied to `value` of channel c; its pixel is row `dense_row` of a dense map, which gates ask for."""
    value = activate(value, epilogue.before)
    if epilogue.takes_residual:
        residual = b["residual"][residual_row, c]
    if epilogue.gate_groups:
        assert dense_row is not None
        on = b["group_active"][b["channel_group"][c], dense_row - 1] != tirx.const(0, "uint8")
        value = tirx.Select(on, value, residual if epilogue.otherwise else tirx.const(0.0, "float32"))
    if epilogue.add:
        value = value + residual
    return activate(value, epilogue.after)


def reads(workload: ConvWorkload | MapWorkload, b: Mapping[str, tirx.Var], m: Expr, c: Expr) -> list:
    """The regions that `finish` reads."""
    regions = [b["list"][m]] if workload.uses_list else []
    if workload.epilogue.gate_groups:
        groups, rows = workload.epilogue.gate_groups, workload.rows + 1
        regions += [b["channel_group"][c], b["group_active"][0:groups, 0:rows]]
    if workload.epilogue.takes_residual:
        regions.append(b["residual"][0 : workload.rows + ROW_SLACK, c])
    return regions
