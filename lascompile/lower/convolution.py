"""Lower chains that start with a convolution or a matrix product."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from lascompile.analysis.demand import Window
from lascompile.analysis.rules.convolution import window_of
from lascompile.kernels.row_conv import weight_shape
from lascompile.lower.chain import Chain, Domain
from lascompile.lower.context import Context, pixel_count, shape4
from lascompile.lower.lists import Lists
from lascompile.lower.program import Buffer
from lascompile.lower.sink import Sink, epilogue, prepare_sink
from lascompile.workload import ConvWorkload, channel_stride


def lower_convolution(context: Context, lists: Lists, chain: Chain) -> None:
    """Emit the kernel of `chain`."""
    node = chain.anchor
    window = window_of(node)
    source = node.inputs[0]
    assert window is not None and source is not None
    batch, in_channels, *_ = shape4(source)
    weight = _constant(node, 1)
    assert weight is not None
    sink = prepare_sink(context, lists, chain)
    table = _table(lists, window, batch, chain.domain, _domain_of(context, source), str(node.name))
    workload = ConvWorkload(
        rows=pixel_count(node.outputs[0]),
        input_rows=pixel_count(source),
        taps=window.taps,
        groups=node.attributes["group"].as_int() if "group" in node.attributes else 1,
        in_channels=in_channels,
        out_channels=weight.shape[0],
        gathers=table is not None,
        counted=chain.domain is not None,
        scatters=chain.scatters,
        residual_listed=sink.residual_listed,
        in_place=sink.in_place,
        epilogue=epilogue(chain),
    )
    _emit(context, chain, workload, weight, _constant(node, 2), source, table, sink)


def _emit(
    context: Context,
    chain: Chain,
    workload: ConvWorkload,
    weight: np.ndarray,
    bias: np.ndarray | None,
    source: ir.Value,
    table: Buffer | None,
    sink: Sink,
) -> None:
    kernel = context.scheduler.schedule(workload)
    assert kernel.decisions is not None
    name = str(chain.anchor.name)
    packed = pack_weight(weight, workload, kernel.decisions.width)
    source_rows = context.packed[source][0] if source in context.packed else context.rows_of(source)
    buffers = sink.buffers | {
        "input": source_rows,
        "weight": context.constant(f"{name}.weight", packed),
        "bias": context.constant(f"{name}.bias", pack_channels(bias, workload.out_channels)),
    }
    if table is not None:
        buffers["table"] = table
    arguments = [buffers[argument] for argument in workload.arguments()]
    part = "scatter" if workload.scatters else "conv"
    context.run(kernel, arguments, [buffers["output"]], name, part if workload.counted else "other")
    sink.store(context, chain)


def _table(
    lists: Lists, window: Window, batch: int, rows: Domain | None, source: Domain | None, node: str
) -> Buffer | None:
    """The table of input rows, or None where row m reads row m."""
    if rows == source and window.is_pointwise:
        return None
    if rows is None:
        return lists.dense_table(window, batch)
    if window.is_pointwise and source is None:
        return lists.of(rows, node).rows
    return lists.table(rows, window, batch, source, node)


def _domain_of(context: Context, value: ir.Value) -> Domain | None:
    return context.packed[value][1] if value in context.packed else None


def _constant(node: ir.Node, position: int) -> np.ndarray | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    return None if value is None or value.const_value is None else value.const_value.numpy()


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


def pack_channels(values: np.ndarray | None, channels: int) -> np.ndarray:
    """One number a channel, zeros beyond the last and where there are none."""
    packed = np.zeros(channel_stride(channels), np.float32)
    if values is not None:
        packed[:channels] = values.reshape(-1)
    return packed


def lower_linear(context: Context, node: ir.Node) -> None:
    """`Gemm` and `MatMul` with known weights are 1x1 convolutions of maps of one pixel."""
    weight, bias = linear_constants(node)
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None
    rows, out_channels = pixel_count(output), weight.shape[0]
    workload = ConvWorkload(rows, rows, 1, 1, weight.shape[1], out_channels, False, False, False)
    kernel = context.scheduler.schedule(workload)
    assert kernel.decisions is not None
    target = context.new_rows(output)
    name = str(node.name)
    arguments = [
        context.rows_of(source),
        context.constant(f"{name}.weight", pack_weight(weight[:, :, None, None], workload, kernel.decisions.width)),
        context.constant(f"{name}.bias", pack_channels(bias, out_channels)),
        target,
    ]
    context.run(kernel, arguments, [target], name)
    context.rows[output] = target


def linear_constants(node: ir.Node) -> tuple[np.ndarray, np.ndarray | None]:
    """Weights [out, in] and bias [out] of a `Gemm` or `MatMul`, its factors multiplied in."""
    weight, bias = _constant(node, 1), _constant(node, 2)
    assert weight is not None
    if node.op_type == "MatMul":
        return weight.T, None
    attributes = node.attributes
    transposed = "transB" in attributes and attributes["transB"].as_int()
    alpha = attributes["alpha"].as_float() if "alpha" in attributes else 1.0
    beta = attributes["beta"].as_float() if "beta" in attributes else 1.0
    scaled = (weight if transposed else weight.T) * np.float32(alpha)
    full = None if bias is None else np.broadcast_to(bias.reshape(-1) * np.float32(beta), (scaled.shape[0],))
    return scaled, full


def is_row_linear(node: ir.Node) -> bool:
    """True for a product [N, in] x known [in, out], with a bias per output at most."""
    if node.op_type not in ("Gemm", "MatMul"):
        return False
    source, weight = node.inputs[0], node.inputs[1]
    if source is None or source.shape is None or len(source.shape) != 2 or weight is None:
        return False
    if source.dtype not in (ir.DataType.FLOAT, None):
        return False
    if source.const_value is not None or weight.const_value is None or len(weight.shape or ()) != 2:
        return False
    if node.op_type == "Gemm" and "transA" in node.attributes and node.attributes["transA"].as_int():
        return False
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None:
        return True
    return bias.const_value is not None and (len(bias.shape or ()) <= 1 or bias.shape[0] == 1)  # type: ignore[index]
