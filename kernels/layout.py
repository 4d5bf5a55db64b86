"""The way into row matrices and out of them, and from one buffer to another."""

from __future__ import annotations

from collections.abc import Mapping

from tvm import tirx
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.definition import define
from lascompile.workload import ROW_SLACK, CopyWorkload, LayoutWorkload, MoveWorkload, channel_stride


def define_layout(workload: LayoutWorkload) -> tirx.PrimFunc:
    """[N, C, H, W] → rows, channels beyond C set to zero; or rows → [N, C, H, W]. One block, `store`."""
    batch, channels, height, width = workload.shape
    stride, pixels = channel_stride(channels), height * width
    rows = batch * pixels
    buffers = {
        "map": (workload.shape, "float32"),
        "output" if workload.to_rows else "rows": ((rows + ROW_SLACK, stride), "float32"),
    }
    names = ("map", "output") if workload.to_rows else ("rows", "map")

    def pack(b: Mapping[str, tirx.Var]) -> None:
        with T.grid(batch, height, width, stride) as (n, y, x, c):
            with T.sblock("store"):
                vn, vy = T.axis.spatial(batch, n), T.axis.spatial(height, y)
                vx, vc = T.axis.spatial(width, x), T.axis.spatial(stride, c)
                value = b["map"][vn, vc, vy, vx]
                padded = tirx.if_then_else(vc < channels, value, tirx.const(0.0, "float32"))
                row = (vn * height + vy) * width + vx + 1
                T.buffer_store(b["output"], padded if stride != channels else value, [row, vc])

    def unpack(b: Mapping[str, tirx.Var]) -> None:
        with T.grid(batch, channels, height, width) as (n, c, y, x):
            with T.sblock("store"):
                vn, vc = T.axis.spatial(batch, n), T.axis.spatial(channels, c)
                vy, vx = T.axis.spatial(height, y), T.axis.spatial(width, x)
                T.buffer_store(b["map"], b["rows"][(vn * height + vy) * width + vx + 1, vc], [vn, vc, vy, vx])

    return define(names, buffers, pack if workload.to_rows else unpack)


def define_copy(workload: CopyWorkload) -> tirx.PrimFunc:
    """`source` [elements] → `target` [elements]."""
    names = ("source", "target")
    buffers = {name: ((workload.elements,), workload.dtype) for name in names}

    def body(b: Mapping[str, tirx.Var]) -> None:
        with T.serial(workload.elements) as i:
            T.buffer_store(b["target"], b["source"][i], [i])

    return define(names, buffers, body)


def define_move(workload: MoveWorkload) -> tirx.PrimFunc:
    """Source [inputs], table [outputs] int32, fill [1] → target [outputs]."""
    buffers = {
        "source": ((workload.inputs,), workload.dtype),
        "table": ((workload.outputs,), "int32"),
        "fill": ((1,), workload.dtype),
        "target": ((workload.outputs,), workload.dtype),
    }

    def body(b: Mapping[str, tirx.Var]) -> None:
        with T.serial(workload.outputs) as i:
            place = b["table"][i]
            # if_then_else, unlike Select, reads only where the condition holds.
            T.buffer_store(b["target"], tirx.if_then_else(place >= 0, b["source"][place], b["fill"][0]), [i])

    return define(list(buffers), buffers, body)
