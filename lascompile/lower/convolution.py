"""Lower chains that start with a convolution or a matrix product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.analysis.demand import Window
from lascompile.analysis.rules.convolution import window_of
from lascompile.lower.chain import Chain, Domain
from lascompile.lower.context import Context, pixel_count, shape4
from lascompile.lower.lists import Lists, granularity_of
from lascompile.lower.program import Buffer
from lascompile.lower.sink import Sink, epilogue, prepare_sink
from lascompile.lower.tiles import Tiling, cut_into_tiles, suits_tiles, tile_buffers
from lascompile.workload import ConvWorkload, Form, WinogradWorkload, channel_stride


@dataclass(frozen=True)
class _Site:
    """A convolution that is being lowered.

    Attributes:
        chain: It, and what is done to its result.
        window: Its window.
        source: Its input.
        weight: [out, in / groups, kh, kw].
        sink: Where its result goes.
        from_domain: The pixels that the input is packed to; None if it is dense.
    """

    chain: Chain
    window: Window
    source: ir.Value
    weight: np.ndarray
    sink: Sink
    from_domain: Domain | None

    @property
    def name(self) -> str:
        """The ONNX node's."""
        return str(self.chain.anchor.name)

    @property
    def batch(self) -> int:
        """Images at once."""
        return shape4(self.source)[0]


def lower_convolution(context: Context, lists: Lists, chain: Chain) -> None:
    """Emit the kernel of `chain`, by the algorithm that costs least."""
    node = chain.anchor
    window, source, weight = window_of(node), node.inputs[0], _constant(node, 1)
    assert window is not None and source is not None and weight is not None
    sink = prepare_sink(context, lists, chain)
    site = _Site(chain, window, source, weight, sink, _domain_of(context, source))
    tilings = {tiling.m: tiling for tiling in _tilings(site)}
    forms: list[Form] = [_row_workload(site), *(_tile_workload(site, tiling) for tiling in tilings.values())]
    kernel = context.scheduler.convolve(site.name, *forms, granularity=granularity_of(chain.domain))
    source_rows = context.packed[source][0] if source in context.packed else context.rows_of(source)
    bias = pack_channels(_constant(node, 2), weight.shape[0])
    buffers = sink.buffers | {
        "input": source_rows,
        "weight": context.constant(f"{site.name}.weight", kernel.pack_weight(weight)),
        "bias": context.constant(f"{site.name}.bias", bias),
    }
    workload = kernel.workload
    assert isinstance(workload, ConvWorkload | WinogradWorkload)
    if isinstance(workload, WinogradWorkload):
        tiles = tile_buffers(lists, tilings[workload.m], chain.domain, site.from_domain, chain.packs, site.name)
        buffers |= tiles.by_argument()
    elif chain.domain is not None:
        buffers |= lists.of(chain.domain, site.name).by_argument()
    if isinstance(workload, ConvWorkload) and workload.gathers:
        buffers["table"] = _table(lists, window, site.batch, chain.domain, site.from_domain, site.name)
    arguments = [buffers[argument] for argument in workload.arguments()]
    part = "scatter" if chain.scatters else "conv"
    context.run(kernel, arguments, [buffers["output"]], site.name, part if chain.domain is not None else "other")
    sink.store(context, chain)


def _row_workload(site: _Site) -> ConvWorkload:
    chain, node = site.chain, site.chain.anchor
    return ConvWorkload(
        rows=pixel_count(node.outputs[0]),
        input_rows=pixel_count(site.source),
        taps=site.window.taps,
        groups=_groups(node),
        in_channels=shape4(site.source)[1],
        out_channels=site.weight.shape[0],
        gathers=not (chain.domain == site.from_domain and site.window.is_pointwise),
        counted=chain.domain is not None,
        scatters=chain.scatters,
        residual_listed=site.sink.residual_listed,
        in_place=site.sink.in_place,
        epilogue=epilogue(chain),
    )


_TILE_SIDES = (2, 4)


def _tilings(site: _Site) -> list[Tiling]:
    """The ways to cut the convolution into Winograd tiles, if it can be."""
    chain, sink = site.chain, site.sink
    # A tile's residual is read in the rows that it writes, so both have to be packed, or neither.
    is_residual_apart = "residual" in sink.buffers and chain.domain is not None
    is_residual_apart = is_residual_apart and sink.residual_listed != chain.scatters
    if not suits_tiles(site.window) or _groups(chain.anchor) > 1 or is_residual_apart:
        return []
    return [cut_into_tiles(site.window, site.batch, m, chain.domain) for m in _TILE_SIDES]


def _tile_workload(site: _Site, tiling: Tiling) -> WinogradWorkload:
    return WinogradWorkload(
        m=tiling.m,
        tiles=tiling.tiles,
        input_rows=tiling.input_rows,
        output_rows=tiling.output_rows,
        in_channels=shape4(site.source)[1],
        out_channels=site.weight.shape[0],
        counted=site.chain.domain is not None,
        in_place=site.sink.in_place,
        epilogue=epilogue(site.chain),
    )


def _groups(node: ir.Node) -> int:
    return node.attributes["group"].as_int() if "group" in node.attributes else 1


def _table(
    lists: Lists, window: Window, batch: int, rows: Domain | None, source: Domain | None, node: str
) -> Buffer:
    """The table of input rows."""
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
    name = str(node.name)
    kernel = context.scheduler.convolve(name, workload)
    target = context.new_rows(output)
    arguments = [
        context.rows_of(source),
        context.constant(f"{name}.weight", kernel.pack_weight(weight[:, :, None, None])),
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
