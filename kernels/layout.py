"""The way into row matrices and out of them."""

from __future__ import annotations

from collections.abc import Mapping

from tvm import tirx
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.definition import define
from lascompile.workload import ROW_SLACK, LayoutWorkload, channel_stride


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
        with T.grid(rows, stride) as (m, c):
            with T.sblock("store"):
                vm, vc = T.axis.spatial(rows, m), T.axis.spatial(stride, c)
                place = tirx.floormod(vm, pixels)
                value = b["map"][
                    tirx.floordiv(vm, pixels), vc, tirx.floordiv(place, width), tirx.floormod(place, width)
                ]
                padded = tirx.if_then_else(vc < channels, value, tirx.const(0.0, "float32"))
                T.buffer_store(b["output"], padded if stride != channels else value, [vm + 1, vc])

    def unpack(b: Mapping[str, tirx.Var]) -> None:
        with T.grid(batch, channels, height, width) as (n, c, y, x):
            with T.sblock("store"):
                vn, vc = T.axis.spatial(batch, n), T.axis.spatial(channels, c)
                vy, vx = T.axis.spatial(height, y), T.axis.spatial(width, x)
                T.buffer_store(b["map"], b["rows"][(vn * height + vy) * width + vx + 1, vc], [vn, vc, vy, vx])

    return define(names, buffers, pack if workload.to_rows else unpack)
