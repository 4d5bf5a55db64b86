"""Element-wise operators over rows, with the same ways to find a row and the same epilogue as a convolution."""

from __future__ import annotations

from collections.abc import Mapping

from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.activation import BINARY
from lascompile.kernels.definition import BufferSpec, define, with_residual
from lascompile.kernels.epilogue import finish
from lascompile.workload import ROW_SLACK, MapWorkload, channel_stride


def buffers(workload: MapWorkload) -> dict[str, BufferSpec]:
    """Shape and dtype of every buffer that an element-wise kernel can take."""
    stride, rows = channel_stride(workload.channels), workload.rows + ROW_SLACK
    specs: dict[str, BufferSpec] = {
        "group_active": ((max(workload.epilogue.gate_groups, 1), workload.rows + 1), "uint8"),
        "channel_group": ((stride,), "int32"),
        "list": ((rows,), "int32"),
        "residual": ((rows, stride), "float32"),
        "count": ((1,), "int32"),
        "output": ((rows, stride), "float32"),
    }
    for i, (kind, operand_rows) in enumerate(zip(workload.operands, workload.operand_rows, strict=True)):
        shape = {"channel": (stride,), "scalar": (1,)}.get(kind, (operand_rows + ROW_SLACK, stride))
        specs[f"operand{i}"] = (shape, "float32")
        specs[f"table{i}"] = ((rows,), "int32")
    return specs


def define_row_map(workload: MapWorkload) -> tirx.PrimFunc:
    """The element-wise `workload`, unscheduled: one block `store` over (row, channel)."""

    def body(b: Mapping[str, tirx.Var]) -> None:
        stride = channel_stride(workload.channels)
        with T.grid(workload.rows, stride) as (m, c):
            with T.sblock("store"):
                vm, vc = T.axis.spatial(workload.rows, m), T.axis.spatial(stride, c)
                values = [_operand(workload, b, i, vm, vc) for i in range(len(workload.operands))]
                result = BINARY[workload.op](*values) if len(values) == 2 else values[0]
                T.reads(*[b[name][tuple(slice(0, dim) for dim in b[name].shape)] for name in _read(workload)])
                T.writes(b["output"][0 : workload.rows + ROW_SLACK, vc])
                row = b["list"][vm] if workload.scatters else vm + 1
                T.buffer_store(b["output"], finish(workload, b, result, vm, vc), [row, vc])

    return define(with_residual(workload.arguments(), workload.in_place), buffers(workload), body)


def _read(workload: MapWorkload) -> list[str]:
    return [name for name in workload.arguments() if name not in ("output", "count")]


def _operand(workload: MapWorkload, b: Mapping[str, tirx.Var], i: int, m: Expr, c: Expr) -> Expr:
    kind, buffer = workload.operands[i], b[f"operand{i}"]
    if kind == "scalar":
        return buffer[0]
    if kind == "channel":
        return buffer[c]
    pixel = b["list"][m] - 1 if workload.counted and "list" in b else m
    row = {
        "row": m + 1,
        "list": b["list"][m] if "list" in b else m,
        "table": b[f"table{i}"][m] if kind == "table" else m,
        "image": tirx.min(tirx.floordiv(pixel, workload.pixels) + 1, workload.operand_rows[i] + 1),
    }[kind]
    return buffer[row, c]
