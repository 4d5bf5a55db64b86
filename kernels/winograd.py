"""The buffers of Winograd convolutions over tiles: what every target's kernels read and write, but for the weights."""

from __future__ import annotations

from lascompile.kernels.definition import BufferSpec
from lascompile.workload import ROW_SLACK, WinogradWorkload, channel_stride


def buffers(workload: WinogradWorkload) -> dict[str, BufferSpec]:
    """Shape and dtype of every buffer that the convolution can take; how weights are packed is a schedule's matter."""
    in_stride, out_stride = channel_stride(workload.in_channels), channel_stride(workload.out_channels)
    return {
        "input": ((workload.input_rows + ROW_SLACK, in_stride), "float32"),
        "input_table": ((workload.tiles + ROW_SLACK, workload.positions), "int32"),
        "output_table": ((workload.tiles + ROW_SLACK, workload.m**2), "int32"),
        "bias": ((out_stride,), "float32"),
        "group_active": ((max(workload.epilogue.gate_groups, 1), workload.output_rows + 1), "uint8"),
        "channel_group": ((out_stride,), "int32"),
        "residual": ((workload.output_rows + ROW_SLACK, out_stride), "float32"),
        "count": ((1,), "int32"),
        "output": ((workload.output_rows + ROW_SLACK, out_stride), "float32"),
    }
