"""Draft chains that start with a convolution or a matrix product: all their forms, one of which the plan chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.analysis.demand import Window
from lascompile.analysis.rules.convolution import window_of
from lascompile.lower.chain import Chain
from lascompile.lower.context import Context, pixel_count, shape4
from lascompile.lower.kernels import ScheduledKernel
from lascompile.lower.lists import Lists
from lascompile.lower.program import Buffer, Step
from lascompile.lower.sink import Sink, epilogue, prepare_sink
from lascompile.lower.tiles import Tiling, cut_into_tiles, suits_tiles, tile_buffers
from lascompile.sites.activity import Activity, Region, Tiles
from lascompile.sites.domain import Domain, granularity_of, region_of, window_shape
from lascompile.sites.site import Site, SiteForm
from lascompile.sites.window_table import dense_table
from lascompile.workload import ConvWorkload, Form, WindowShape, WinogradWorkload, channel_stride


@dataclass(frozen=True)
class OpenConvolution:
    """A convolution whose kernel is to be chosen.

    Attributes:
        context, lists: Where its step will stand.
        site: Its forms.
        chain: It, and what is done to its result.
        place: Where its rows come from and go to.
        weight: [out, in / groups, kh, kw].
        buffers: By argument name, those that no form changes.
        tilings: The ways to cut it into Winograd tiles, by side.
    """

    context: Context
    lists: Lists
    site: Site
    chain: Chain
    place: _Place
    weight: np.ndarray
    buffers: Mapping[str, Buffer]
    tilings: Mapping[int, Tiling]

    def close(self, kernel: ScheduledKernel) -> Step:
        """The step that computes it by `kernel`."""
        workload, chain, place = kernel.workload, self.chain, self.place
        assert isinstance(workload, Form)
        weight = self.context.constant(f"{self.site.node}.weight", kernel.pack_weight(self.weight))
        buffers = {**self.buffers, "weight": weight}
        if isinstance(workload, WinogradWorkload):
            tiling = self.tilings[workload.m]
            buffers |= tile_buffers(self.lists, tiling, chain.domain, place.source, chain.packs).by_argument()
        elif chain.domain is not None:
            buffers |= self.lists.of(chain.domain).by_argument()
        if isinstance(workload, ConvWorkload) and workload.gathers:
            buffers["table"] = _table(self.lists, place, chain.domain)
        part = ("scatter" if chain.scatters else "conv") if chain.domain is not None else "other"
        return _step(kernel, workload, buffers, self.site.node, part)


@dataclass(frozen=True)
class _Place:
    """Where the rows of a convolution come from.

    Attributes:
        window: Its window.
        batch: Images at once.
        source: The pixels that the input is packed to; None if it is dense.
    """

    window: Window
    batch: int
    source: Domain | None

    @property
    def shape(self) -> WindowShape:
        """The window over all images."""
        return window_shape(self.window, self.batch)

    @property
    def region(self) -> Region | None:
        """The pixels that a packed input holds."""
        return None if self.source is None else region_of(self.source)


def draft_convolution(context: Context, lists: Lists, chain: Chain) -> None:
    """Leave the step of `chain` open, in every form that it can take."""
    node = chain.anchor
    window, value, weight = window_of(node), node.inputs[0], _constant(node, 1)
    assert window is not None and value is not None and weight is not None
    name, sink = str(node.name), prepare_sink(context, lists, chain)
    place = _Place(window, shape4(value)[0], context.packed[value][1] if value in context.packed else None)
    tilings = {tiling.m: tiling for tiling in _tilings(chain, sink, place)}
    forms = [_row_form(chain, sink, place, weight), *(_tile_form(chain, sink, place, t) for t in tilings.values())]
    if chain.domain is not None:
        lists.of(chain.domain)  # its masks' decisions are kept from here on
    buffers = sink.buffers | {
        "input": context.packed[value][0] if value in context.packed else context.rows_of(value),
        "bias": context.constant(f"{name}.bias", pack_channels(_constant(node, 2), weight.shape[0])),
    }
    site = Site(name, tuple(forms), granularity_of(chain.domain))
    context.draft.steps.append(OpenConvolution(context, lists, site, chain, place, weight, buffers, tilings))
    sink.store(context, chain)


def _step(kernel: ScheduledKernel, workload: Form, buffers: Mapping[str, Buffer], node: str, part: str) -> Step:
    return Step(kernel, tuple(buffers[name] for name in workload.arguments()), (buffers["output"],), node, part)


def _row_form(chain: Chain, sink: Sink, place: _Place, weight: np.ndarray) -> SiteForm:
    value = chain.anchor.inputs[0]
    assert value is not None
    gathers = not (chain.domain == place.source and place.window.is_pointwise)
    workload = ConvWorkload(
        rows=pixel_count(chain.anchor.outputs[0]),
        input_rows=pixel_count(value),
        taps=place.window.taps,
        groups=_groups(chain.anchor),
        in_channels=shape4(value)[1],
        out_channels=weight.shape[0],
        gathers=gathers,
        counted=chain.domain is not None,
        scatters=chain.scatters,
        residual_listed=sink.residual_listed,
        in_place=sink.in_place,
        epilogue=epilogue(chain),
    )
    rows = None if chain.domain is None else region_of(chain.domain)
    if not gathers or _table_is_list(place, chain.domain):
        return SiteForm(workload, Activity(rows))
    if rows is None:
        return SiteForm(workload, Activity(constant_table=dense_table(place.shape).tobytes()))
    return SiteForm(workload, Activity(rows, place.shape, place.region))


_TILE_SIDES = (2, 4)


def _tilings(chain: Chain, sink: Sink, place: _Place) -> list[Tiling]:
    """The ways to cut the convolution into Winograd tiles, if it can be."""
    # A tile's residual is read in the rows that it writes, so both have to be packed, or neither.
    is_residual_apart = "residual" in sink.buffers and chain.domain is not None
    is_residual_apart = is_residual_apart and sink.residual_listed != chain.scatters
    if not suits_tiles(place.window) or _groups(chain.anchor) > 1 or is_residual_apart:
        return []
    return [cut_into_tiles(place.window, place.batch, m, chain.domain) for m in _TILE_SIDES]


def _tile_form(chain: Chain, sink: Sink, place: _Place, tiling: Tiling) -> SiteForm:
    value, output = chain.anchor.inputs[0], chain.anchor.outputs[0]
    assert value is not None
    workload = WinogradWorkload(
        m=tiling.m,
        tiles=tiling.tiles,
        input_rows=tiling.input_rows,
        output_rows=tiling.output_rows,
        in_channels=shape4(value)[1],
        out_channels=shape4(output)[1],
        counted=chain.domain is not None,
        in_place=sink.in_place,
        epilogue=epilogue(chain),
    )
    tiles = Tiles.of(tiling.inputs, tiling.outputs)
    if chain.domain is None:
        return SiteForm(workload, Activity(tiles=tiles))
    activity = Activity(region_of(chain.domain), source=place.region, tiles=tiles, packs=chain.packs)
    return SiteForm(workload, activity)


def _groups(node: ir.Node) -> int:
    return node.attributes["group"].as_int() if "group" in node.attributes else 1


def _table(lists: Lists, place: _Place, rows: Domain | None) -> Buffer:
    """The table of input rows."""
    if rows is None:
        return lists.dense_table(place.window, place.batch)
    if _table_is_list(place, rows):
        return lists.of(rows).rows
    return lists.table(rows, place.window, place.batch, place.source)


def _table_is_list(place: _Place, rows: Domain | None) -> bool:
    """True if each active row reads itself, of a dense map."""
    return rows is not None and place.window.is_pointwise and place.source is None


def _constant(node: ir.Node, position: int) -> np.ndarray | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    return None if value is None or value.const_value is None else value.const_value.numpy()


def pack_channels(values: np.ndarray | None, channels: int) -> np.ndarray:
    """One number a channel, zeros beyond the last and where there are none."""
    packed = np.zeros(channel_stride(channels), np.float32)
    if values is not None:
        packed[:channels] = values.reshape(-1)
    return packed


@dataclass(frozen=True)
class OpenProduct:
    """A matrix product whose kernel is to be chosen.

    Attributes:
        context: Where its step will stand.
        site: Its form.
        weight: [out, in].
        buffers: By argument name, all but the weights.
    """

    context: Context
    site: Site
    weight: np.ndarray
    buffers: Mapping[str, Buffer]

    def close(self, kernel: ScheduledKernel) -> Step:
        """The step that computes it by `kernel`."""
        assert isinstance(kernel.workload, Form)
        packed = kernel.pack_weight(self.weight[:, :, None, None])
        buffers = {**self.buffers, "weight": self.context.constant(f"{self.site.node}.weight", packed)}
        return _step(kernel, kernel.workload, buffers, self.site.node, "other")


def draft_linear(context: Context, node: ir.Node) -> None:
    """`Gemm` and `MatMul` with known weights are 1x1 convolutions of maps of one pixel."""
    weight, bias = linear_constants(node)
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None
    rows, out_channels = pixel_count(output), weight.shape[0]
    workload = ConvWorkload(rows, rows, 1, 1, weight.shape[1], out_channels, False, False, False)
    name, target = str(node.name), context.new_rows(output)
    buffers = {
        "input": context.rows_of(source),
        "bias": context.constant(f"{name}.bias", pack_channels(bias, out_channels)),
        "output": target,
    }
    site = Site(name, (SiteForm(workload, Activity()),), None)
    context.draft.steps.append(OpenProduct(context, site, weight, buffers))
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
