"""Convolutions over rows: dense, gathered through a table, or packed; with scatter-add where the workload says so.

Gather-conv3x3, masked conv1x1 and scatter-add of the LASNet paper (section 3.3, Fig. 2) are this one definition
with another workload: the patches are never copied, since a table of row numbers says where each tap of each
active pixel lies, and the result goes straight to its place in the residual.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.definition import BufferSpec, define, with_residual
from lascompile.kernels.epilogue import finish, reads
from lascompile.workload import ROW_SLACK, ConvWorkload, channel_stride


def channel_blocks(workload: ConvWorkload, width: int) -> int:
    """Blocks of `width` output channels that the weights are cut into."""
    per_group = workload.out_channels // workload.groups
    if workload.groups == 1 or workload.is_depthwise:
        total = channel_stride(workload.out_channels)
        if total % width:
            raise ValueError(f"a block of {width} channels does not divide the row of {total}")
        return total // width
    if per_group % width:
        raise ValueError(f"a block of {width} channels does not divide the group of {per_group}")
    return workload.groups * (per_group // width)


def weight_shape(workload: ConvWorkload, width: int) -> tuple[int, int, int, int]:
    """Packed weights: [channel block, tap, input channel of the group, channel of the block]."""
    depth = 1 if workload.is_depthwise else workload.in_channels // workload.groups
    return channel_blocks(workload, width), workload.taps, depth, width


def pack_weight(weight: np.ndarray, workload: ConvWorkload, width: int) -> np.ndarray:
    """[out, in / groups, kh, kw] → [channel block, tap, in / groups, width], zeros beyond the last channel."""
    out_channels = weight.shape[0]
    blocks, taps, depth, _ = weight_shape(workload, width)
    taps_last = weight.reshape(out_channels, -1, taps)
    if workload.is_depthwise or workload.groups == 1:
        padding = channel_stride(out_channels) - out_channels
        taps_last = np.pad(taps_last, ((0, padding), (0, 0), (0, 0)))
    blocked = taps_last.reshape(blocks, width, depth, taps)
    return np.ascontiguousarray(blocked.transpose(0, 3, 2, 1), dtype=np.float32)


def buffers(workload: ConvWorkload, width: int) -> dict[str, BufferSpec]:
    """Shape and dtype of every buffer that a convolution can take."""
    out_stride = channel_stride(workload.out_channels)
    return {
        "input": ((workload.input_rows + ROW_SLACK, channel_stride(workload.in_channels)), "float32"),
        "table": ((workload.rows + ROW_SLACK, workload.taps)[: 2 if workload.taps > 1 else 1], "int32"),
        "weight": (weight_shape(workload, width), "float32"),
        "bias": ((out_stride,), "float32"),
        "group_active": ((max(workload.epilogue.gate_groups, 1), workload.rows + 1), "uint8"),
        "channel_group": ((out_stride,), "int32"),
        "list": ((workload.rows + ROW_SLACK,), "int32"),
        "residual": ((workload.rows + ROW_SLACK, out_stride), "float32"),
        "count": ((1,), "int32"),
        "output": ((workload.rows + ROW_SLACK, out_stride), "float32"),
    }


def define_row_conv(workload: ConvWorkload, width: int) -> tirx.PrimFunc:
    """The convolution `workload` with weights packed in blocks of `width` channels, unscheduled.

    Blocks: `acc` sums up, `store` finishes and stores. The loops run over all rows; the guard bounds them by the
    count after scheduling.
    """

    def body(b: Mapping[str, tirx.Var]) -> None:
        blocks = channel_blocks(workload, width)
        acc = T.sblock_alloc_buffer((workload.rows, blocks, width), "float32")
        _accumulate(workload, width, b, acc)
        _store(workload, width, b, acc)

    return define(with_residual(workload.arguments(), workload.in_place), buffers(workload, width), body)


def _accumulate(workload: ConvWorkload, width: int, b: Mapping[str, tirx.Var], acc: tirx.Var) -> None:
    blocks, taps, depth, _ = weight_shape(workload, width)
    per_group = blocks // workload.groups if not workload.is_depthwise else 0

    def source(m: Expr, block: Expr, v: Expr, t: Expr, k: Expr) -> Expr:
        table = (b["table"][m, t] if workload.taps > 1 else b["table"][m]) if workload.gathers else None
        row = m + 1 if table is None else table
        if workload.is_depthwise:
            return b["input"][row, block * width + v]
        channel = k if workload.groups == 1 else tirx.floordiv(block, per_group) * depth + k
        return b["input"][row, channel]

    with T.grid(workload.rows, blocks, width, taps, depth) as (m, n, v, t, k):
        with T.sblock("acc"):
            vm, vn = T.axis.spatial(workload.rows, m), T.axis.spatial(blocks, n)
            vv, vt, vk = T.axis.spatial(width, v), T.axis.reduce(taps, t), T.axis.reduce(depth, k)
            with T.init():
                T.buffer_store(acc, T.float32(0), [vm, vn, vv])
            product = source(vm, vn, vv, vt, vk) * b["weight"][vn, vt, vk, vv]
            T.buffer_store(acc, acc[vm, vn, vv] + product, [vm, vn, vv])


def _store(workload: ConvWorkload, width: int, b: Mapping[str, tirx.Var], acc: tirx.Var) -> None:
    blocks = channel_blocks(workload, width)
    with T.grid(workload.rows, blocks, width) as (m, n, v):
        with T.sblock("store"):
            vm, vn, vv = T.axis.spatial(workload.rows, m), T.axis.spatial(blocks, n), T.axis.spatial(width, v)
            channel = vn * width + vv
            finished = finish(workload, b, acc[vm, vn, vv] + b["bias"][channel], vm, channel)
            T.reads(acc[vm, vn, vv], b["bias"][channel], *reads(workload, b, vm, channel))
            listed = workload.scatters
            rows = slice(0, workload.rows + ROW_SLACK)
            T.writes(b["output"][rows, channel] if listed else b["output"][vm + 1, channel])
            T.buffer_store(b["output"], finished, [b["list"][vm] if listed else vm + 1, channel])
