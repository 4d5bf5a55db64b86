"""Workloads: everything about one kernel call that its code depends on.

Two calls with equal workloads run the same kernel; `key()` names it in libraries, records and tables.

**Row matrices.** Kernels see a feature map [N, C, H, W] as a matrix of rows, one row a pixel, its channels contiguous
(NHWC). A map of P = N*H*W pixels is a matrix [P + ROW_SLACK, channel_stride(C)]:

- row 0 is zero: what a convolution reads outside the image, or where a mask leaves a pixel out;
- row p + 1 is pixel p of a *dense* map, or the p-th active pixel of a *packed* one;
- the rows from P + 1 on are slack, into which the last tile of a kernel may write what nobody reads.

So a list of active pixels is a list of row numbers, and «nothing» is row 0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

ROW_SLACK = 32
"""Rows allotted beyond the pixels: row 0, and room for the last tile of at most ROW_SLACK - 1 rows."""

Activation = tuple[str | float, ...]
"""An element-wise function and its parameters, as in ("relu",) or ("clip", 0.0, 6.0)."""


def channel_stride(channels: int) -> int:
    """The width of a row of `channels`, rounded up so that rows start at vector boundaries."""
    if channels > 8:
        return -(-channels // 16) * 16
    return 4 if channels <= 4 else 8


@dataclass(frozen=True)
class Workload:
    """Base of all workloads."""

    def key(self) -> str:
        """A name that equal workloads share and others do not."""
        return f"{self.name()}_{hashlib.sha256(repr(self).encode()).hexdigest()[:10]}"

    def name(self) -> str:
        """What the kernel does, in words of the field, for profiles."""
        raise NotImplementedError

    def describe(self) -> dict[str, object]:
        """The fields that are set, for manifests and records."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Epilogue:
    """What happens to a result before it is stored: before → gate → add → after.

    Attributes:
        before: Activations of the result itself.
        gate_groups: If not 0, the result is kept where its channel's mask group is on, and zero elsewhere.
        otherwise: True if the residual row is kept instead of zero where the gate is shut.
        add: True if a residual row is added.
        after: Activations of the sum.
    """

    before: tuple[Activation, ...] = ()
    gate_groups: int = 0
    otherwise: bool = False
    add: bool = False
    after: tuple[Activation, ...] = ()

    @property
    def takes_residual(self) -> bool:
        """True if a residual row is read."""
        return self.add or self.otherwise


@dataclass(frozen=True)
class ConvWorkload(Workload):
    """A convolution over rows: Y[out(m)] = epilogue(sum over t, k of X[table[m, t], k] * W[t, k] + bias).

    Attributes:
        rows: Output pixels at most (all of them where the convolution is dense).
        input_rows: Pixels of the input map.
        taps: Kernel positions, kh * kw.
        groups: Convolution groups.
        in_channels: Input channels in all groups.
        out_channels: Output channels in all groups.
        gathers: True if input rows come from a table [rows + ROW_SLACK, taps]; else row m + 1 is read.
        counted: True if only the first count[0] rows exist; else all of them.
        scatters: True if row m is stored at list[m] of a dense map; else at m + 1.
        residual_listed: True if the residual row is read at list[m] of a dense map; else at m + 1.
        in_place: True if the residual is the output's own buffer.
        epilogue: What is done before the store.
    """

    rows: int
    input_rows: int
    taps: int
    groups: int
    in_channels: int
    out_channels: int
    gathers: bool
    counted: bool
    scatters: bool
    residual_listed: bool = False
    in_place: bool = False
    epilogue: Epilogue = Epilogue()

    @property
    def is_depthwise(self) -> bool:
        """One input channel per output channel."""
        return self.groups == self.in_channels == self.out_channels and self.groups > 1

    @property
    def uses_list(self) -> bool:
        """True if the kernel takes the list of active rows."""
        return self.scatters or self.residual_listed or self.epilogue.gate_groups > 0

    @property
    def flops(self) -> int:
        """Floating-point operations with all rows active."""
        return 2 * self.rows * self.taps * self.in_channels * self.out_channels // self.groups

    def arguments(self) -> tuple[str, ...]:
        """The kernel's buffers in order; the output is last. A residual in place is the output."""
        chosen = {
            "input": True,
            "table": self.gathers,
            "weight": True,
            "bias": True,
            "group_active": self.epilogue.gate_groups > 0,
            "channel_group": self.epilogue.gate_groups > 0,
            "list": self.uses_list,
            "residual": self.epilogue.takes_residual and not self.in_place,
            "count": self.counted,
            "output": True,
        }
        return tuple(name for name, taken in chosen.items() if taken)

    def name(self) -> str:
        """`gather_conv3x3`, `masked_conv1x1_scatter_add`, `conv1x1_add` and the like."""
        side = round(self.taps**0.5)
        shape = f"{side}x{side}" if side * side == self.taps else f"{self.taps}taps"
        kind = ("gather_" if self.taps > 1 else "masked_") if self.counted else ""
        depthwise = "depthwise_" if self.is_depthwise else ""
        ending = "_scatter" if self.scatters else ""
        return f"{kind}{depthwise}conv{shape}{ending}{'_add' if self.epilogue.add else ''}"


@dataclass(frozen=True)
class WinogradWorkload(Workload):
    """A 3x3 convolution of stride 1 over tiles: m x m outputs are computed together from (m + 2) x (m + 2) inputs.

    Tables of rows say where the pixels of a tile lie, so tiles may be anywhere, overlap, and reach beyond the image:
    an input there is row 0, an output that is not wanted goes to the slack row output_rows + 1.

    Attributes:
        m: Side of a tile's outputs, 2 or 4.
        tiles: Tiles at most (all of them where the convolution is dense).
        input_rows: Pixels of the input map.
        output_rows: Pixels of the output map; where there are gates, it is dense.
        in_channels: Input channels.
        out_channels: Output channels.
        counted: True if only the first count[0] tiles exist; else all of them.
        in_place: True if the residual is the output's own buffer.
        epilogue: What is done before the store; the residual is read at the row that is written.
    """

    m: int
    tiles: int
    input_rows: int
    output_rows: int
    in_channels: int
    out_channels: int
    counted: bool
    in_place: bool = False
    epilogue: Epilogue = Epilogue()

    @property
    def positions(self) -> int:
        """Inputs of a tile, and products per tile and pair of channels."""
        return (self.m + 2) ** 2

    @property
    def flops(self) -> int:
        """Floating-point operations of the products with all tiles active; those of the transforms come on top."""
        return 2 * self.tiles * self.positions * self.in_channels * self.out_channels

    def arguments(self) -> tuple[str, ...]:
        """The kernel's buffers in order; the output is last. A residual in place is the output."""
        chosen = {
            "input": True,
            "input_table": True,
            "output_table": True,
            "weight": True,
            "bias": True,
            "group_active": self.epilogue.gate_groups > 0,
            "channel_group": self.epilogue.gate_groups > 0,
            "residual": self.epilogue.takes_residual and not self.in_place,
            "count": self.counted,
            "output": True,
        }
        return tuple(name for name, taken in chosen.items() if taken)

    def name(self) -> str:
        """`gather_winograd4_conv3x3`, `winograd2_conv3x3_add` and the like."""
        gather, add = "gather_" if self.counted else "", "_add" if self.epilogue.add else ""
        return f"{gather}winograd{self.m}_conv3x3{add}"


@dataclass(frozen=True)
class MapWorkload(Workload):
    """An element-wise operator over rows: Y[out(m), c] = epilogue(op(operands at row m, channel c)).

    Attributes:
        rows: Output pixels at most.
        pixels: H * W, the pixels per image, by which per-image operands are found.
        channels: Channels of the output.
        op: ONNX name of a binary operator, or "Identity" of the first operand.
        operands: Per operand, where its row m is: "row" (m + 1), "list" (list[m] of a dense map), "table" (table[m]),
            "image" (one row an image), "channel" (one row for all), "scalar".
        operand_rows: Per operand, its pixels (0 for "channel" and "scalar").
        counted, scatters, residual_listed, in_place, epilogue: As for a convolution.
    """

    rows: int
    pixels: int
    channels: int
    op: str
    operands: tuple[str, ...]
    operand_rows: tuple[int, ...]
    counted: bool
    scatters: bool
    residual_listed: bool = False
    in_place: bool = False
    epilogue: Epilogue = Epilogue()

    @property
    def uses_list(self) -> bool:
        """True if the kernel takes the list of active rows."""
        by_pixel = {"list", *(["image"] if self.counted else [])}
        return (
            self.scatters or self.residual_listed or self.epilogue.gate_groups > 0 or bool(by_pixel & {*self.operands})
        )

    def arguments(self) -> tuple[str, ...]:
        """The kernel's buffers in order; the output is last. A residual in place is the output."""
        chosen = {
            **{f"operand{i}": True for i in range(len(self.operands))},
            **{f"table{i}": kind == "table" for i, kind in enumerate(self.operands)},
            "group_active": self.epilogue.gate_groups > 0,
            "channel_group": self.epilogue.gate_groups > 0,
            "list": self.uses_list,
            "residual": self.epilogue.takes_residual and not self.in_place,
            "count": self.counted,
            "output": True,
        }
        return tuple(name for name, taken in chosen.items() if taken)

    def name(self) -> str:
        """`map_mul`, `masked_map_add` and the like."""
        return f"{'masked_' if self.counted else ''}map_{self.op.lower()}{'_scatter' if self.scatters else ''}"


@dataclass(frozen=True)
class ActiveWorkload(Workload):
    """Decision → which pixels are active: [rows + 1] uint8, and per mask group if there are several.

    Attributes:
        elements: Elements of the decision.
        dtype: The decision's dtype.
        groups: Masks per pixel.
        rows: Pixels of the masked map, N*H*W.
        inverted: True if 0 switches a pixel on.
    """

    elements: int
    dtype: str
    groups: int
    rows: int
    inverted: bool

    def name(self) -> str:
        """`active_pixels`."""
        return "active_pixels"


@dataclass(frozen=True)
class WindowShape:
    """A window over a batch of maps: output pixel y reads input y * stride - pad + i * dilation (see `Window`)."""

    batch: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    input_size: tuple[int, int]
    output_size: tuple[int, int]

    @property
    def input_rows(self) -> int:
        """Pixels that are read from."""
        return self.batch * self.input_size[0] * self.input_size[1]

    @property
    def output_rows(self) -> int:
        """Pixels that are computed."""
        return self.batch * self.output_size[0] * self.output_size[1]

    @property
    def taps(self) -> int:
        """Input pixels read per output pixel."""
        return self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class DilateWorkload(Workload):
    """Active output pixels → the input pixels that their windows reach, uint8."""

    window: WindowShape

    def name(self) -> str:
        """`dilate_mask`."""
        return "dilate_mask"


@dataclass(frozen=True)
class UnionWorkload(Workload):
    """Pixels that either of two maps has active."""

    rows: int

    def name(self) -> str:
        """`union_masks`."""
        return "union_masks"


@dataclass(frozen=True)
class CompactWorkload(Workload):
    """Active pixels → list of their row numbers, count, and the packed row of every dense row (0 if inactive)."""

    rows: int

    def name(self) -> str:
        """`compact_mask`."""
        return "compact_mask"


@dataclass(frozen=True)
class TableWorkload(Workload):
    """List of output pixels → the input row of each tap.

    Attributes:
        window: The convolution's window.
        packed: True if the input is packed, so that a dense row number is looked up in the position map.
    """

    window: WindowShape
    packed: bool

    def name(self) -> str:
        """`gather_table`."""
        return "gather_table"


@dataclass(frozen=True)
class ActiveTilesWorkload(Workload):
    """Active pixels → which Winograd tiles hold one, uint8.

    Attributes:
        tiles: Tiles in all.
        outputs: Output pixels of a tile.
        rows: Pixels of the map.
    """

    tiles: int
    outputs: int
    rows: int

    def name(self) -> str:
        """`active_tiles`."""
        return "active_tiles"


@dataclass(frozen=True)
class TileTableWorkload(Workload):
    """List of Winograd tiles → the row of each input and output of each of them.

    Attributes:
        tiles: Tiles in all.
        inputs: Input pixels of a tile.
        outputs: Output pixels of a tile.
        input_rows: Pixels of the input map.
        output_rows: Pixels of the output map.
        packed_input: True if the input is packed, so that a dense row number is looked up in its position map.
        packed_output: The same of the output.
    """

    tiles: int
    inputs: int
    outputs: int
    input_rows: int
    output_rows: int
    packed_input: bool
    packed_output: bool

    def name(self) -> str:
        """`tile_table`."""
        return "tile_table"


@dataclass(frozen=True)
class PoolWorkload(Workload):
    """Pooling over rows.

    Attributes:
        kind: "max" or "average".
        window: The pooling window.
        channels: Channels of input and output.
        counts_padding: True if an average counts the zeros outside the image.
    """

    kind: str
    window: WindowShape
    channels: int
    counts_padding: bool = False

    def name(self) -> str:
        """`max_pool3x3`, `global_average_pool` and the like."""
        if self.window.kernel == self.window.input_size and self.window.output_size == (1, 1):
            return f"global_{self.kind}_pool"
        return f"{self.kind}_pool{self.window.kernel[0]}x{self.window.kernel[1]}"


@dataclass(frozen=True)
class CopyWorkload(Workload):
    """`elements` elements of `dtype` from one buffer to another."""

    elements: int
    dtype: str

    def name(self) -> str:
        """`copy`."""
        return "copy"


@dataclass(frozen=True)
class LayoutWorkload(Workload):
    """A feature map [N, C, H, W] → a row matrix (`to_rows`) or the other way round.

    Attributes:
        shape: N, C, H, W.
        to_rows: The direction.
    """

    shape: tuple[int, int, int, int]
    to_rows: bool

    def name(self) -> str:
        """`pack_rows` or `unpack_rows`."""
        return "pack_rows" if self.to_rows else "unpack_rows"
