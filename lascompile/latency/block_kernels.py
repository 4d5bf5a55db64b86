"""The kernels of a residual block, from its shape alone: what a build makes of such a block, without a network.

`tests/latency/test_block_kernels.py` holds it against what lowering makes of the zoo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lascompile.latency.counts import MaskShape
from lascompile.workload import (
    ActiveTilesWorkload,
    ActiveWorkload,
    CompactWorkload,
    ConvWorkload,
    DilateWorkload,
    Epilogue,
    MapWorkload,
    PoolWorkload,
    TableWorkload,
    TileTableWorkload,
    WindowShape,
    WinogradWorkload,
    Workload,
)

_RELU = (("relu",),)
_POINT, _AROUND = (1, 1), (3, 3)

Part = Literal["conv", "masker", "lists", "shortcut", "base"]
"""What a kernel does for its block."""


@dataclass(frozen=True)
class BlockShape:
    """A residual block of a ResNet.

    Attributes:
        in_channels: Of its input.
        width: Of the convolutions inside.
        out_channels: Of its output.
        size: Height and width of its output.
        stride: Of the 3×3 in a bottleneck, of the first 3×3 in a basic block.
        bottleneck: 1×1, 3×3, 1×1; else 3×3, 3×3.
        groups: Of a bottleneck's 3×3.
        granularity: S of its mask; None without one.
        batch: Images at a time.
    """

    in_channels: int
    width: int
    out_channels: int
    size: tuple[int, int]
    stride: int = 1
    bottleneck: bool = True
    groups: int = 1
    granularity: int | None = None
    batch: int = 1

    @property
    def has_shortcut(self) -> bool:
        """Whether the residual is a convolution of the input."""
        return self.stride != 1 or self.in_channels != self.out_channels

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of its input."""
        return self.size[0] * self.stride, self.size[1] * self.stride

    @property
    def mask(self) -> MaskShape | None:
        """Its mask over its output."""
        return None if self.granularity is None else MaskShape(self.size, (self.granularity,) * 2)


@dataclass(frozen=True)
class BlockKernel:
    """A kernel of a block.

    Attributes:
        name: Which: `conv2`, `masker.pool` and the like.
        part: What it does.
        forms: The workloads that it may be, of which one is chosen.
        reach: Stride of the 3×3 whose inputs it computes; None where it computes the mask's own pixels, or all.
    """

    name: str
    part: Part
    forms: tuple[Workload, ...]
    reach: int | None = None


def block_kernels(block: BlockShape) -> list[BlockKernel]:
    """The kernels of `block` whatever forms are chosen; `list_kernels` has those that follow from the choice."""
    convolutions = list(_bottleneck(block) if block.bottleneck else _basic(block))
    if block.mask is None:
        return [*_shortcut(block, adds=True), *convolutions]
    return [*_shortcut(block, adds=False), *_masker(block), *_base(block), *convolutions]


def list_kernels(block: BlockShape, chosen: Mapping[str, Workload]) -> list[BlockKernel]:
    """What makes the lists and tables of the convolutions, of which `chosen` holds the form of each by name."""
    if block.mask is None:
        return []
    inputs, outputs = _pixels(block, block.input_size), _pixels(block, block.size)
    patches = block.batch * block.mask.patches[0] * block.mask.patches[1]
    near, far = _window(block, 1, block.size), _window(block, block.stride, block.input_size)
    kinds: list[Workload] = [ActiveWorkload(patches, "bool", 1, outputs, False)]
    if block.bottleneck:
        kinds += [DilateWorkload(far), CompactWorkload(inputs), CompactWorkload(outputs)]
        kinds += _tables(chosen["conv2"], far, packed_input=True, packed_output=True)
    else:
        kinds += [DilateWorkload(near), CompactWorkload(outputs)]
        kinds += _tables(chosen["conv1"], far, packed_input=False, packed_output=True)
        kinds += [CompactWorkload(outputs)] if isinstance(chosen["conv2"], ConvWorkload) else []
        kinds += _tables(chosen["conv2"], near, packed_input=True, packed_output=False)
    return [BlockKernel(f"lists.{kind.name()}", "lists", (kind,)) for kind in kinds]


def _tables(form: Workload, window: WindowShape, *, packed_input: bool, packed_output: bool) -> list[Workload]:
    """What a 3×3 on a mask reads its pixels by."""
    if isinstance(form, ConvWorkload):
        return [TableWorkload(window, packed_input)]
    assert isinstance(form, WinogradWorkload)
    rows, tiles, side = form.output_rows, form.tiles, form.m
    table = TileTableWorkload(tiles, (side + 2) ** 2, side**2, form.input_rows, rows, packed_input, packed_output)
    return [ActiveTilesWorkload(tiles, side**2, rows), CompactWorkload(tiles), table]


def _window(block: BlockShape, stride: int, input_size: tuple[int, int]) -> WindowShape:
    return WindowShape(block.batch, _AROUND, (stride, stride), _POINT, _POINT, input_size, block.size)


def _bottleneck(block: BlockShape) -> Iterator[BlockKernel]:
    inputs, outputs, dynamic = _pixels(block, block.input_size), _pixels(block, block.size), block.mask is not None
    first = ConvWorkload(
        rows=inputs, input_rows=inputs, taps=1, groups=1, in_channels=block.in_channels, out_channels=block.width,
        gathers=dynamic, counted=dynamic, scatters=False, epilogue=Epilogue(before=_RELU),
    )  # fmt: skip
    second = ConvWorkload(
        rows=outputs, input_rows=inputs, taps=9, groups=block.groups, in_channels=block.width, out_channels=block.width,
        gathers=True, counted=dynamic, scatters=False, epilogue=Epilogue(before=_RELU),
    )  # fmt: skip
    yield BlockKernel("conv1", "conv", (first,), reach=block.stride)
    yield BlockKernel("conv2", "conv", (second, *_tiled(block, second)))
    yield BlockKernel("conv3", "conv", (_last(block, taps=1, in_channels=block.width),))


def _basic(block: BlockShape) -> Iterator[BlockKernel]:
    inputs, outputs, dynamic = _pixels(block, block.input_size), _pixels(block, block.size), block.mask is not None
    first = ConvWorkload(
        rows=outputs, input_rows=inputs, taps=9, groups=1, in_channels=block.in_channels, out_channels=block.width,
        gathers=True, counted=dynamic, scatters=False, epilogue=Epilogue(before=_RELU),
    )  # fmt: skip
    last = _last(block, taps=9, in_channels=block.width)
    yield BlockKernel("conv1", "conv", (first, *_tiled(block, first)), reach=1)
    yield BlockKernel("conv2", "conv", (last, *_tiled(block, last)))


def _last(block: BlockShape, taps: int, in_channels: int) -> ConvWorkload:
    """The convolution that adds its result to the residual, at the mask's pixels."""
    rows, dynamic = _pixels(block, block.size), block.mask is not None
    # Without a mask the shortcut's kernel, which runs later, adds both.
    adds = Epilogue() if block.has_shortcut and not dynamic else Epilogue(add=True, after=_RELU)
    return ConvWorkload(
        rows=rows, input_rows=rows, taps=taps, groups=1, in_channels=in_channels, out_channels=block.out_channels,
        gathers=taps > 1, counted=dynamic, scatters=dynamic, residual_listed=dynamic,
        in_place=dynamic and not block.has_shortcut, epilogue=adds,
    )  # fmt: skip


def _tiled(block: BlockShape, conv: ConvWorkload) -> Iterator[WinogradWorkload]:
    """The Winograd forms of a 3×3."""
    if conv.input_rows != conv.rows or conv.groups > 1:
        return
    for side in (2, 4):
        along = [_tiles_along(block, axis, side) for axis in (0, 1)]
        yield WinogradWorkload(
            m=side, tiles=block.batch * along[0] * along[1], input_rows=conv.input_rows, output_rows=conv.rows,
            in_channels=conv.in_channels, out_channels=conv.out_channels, counted=conv.counted,
            in_place=conv.in_place, epilogue=conv.epilogue,
        )  # fmt: skip


def _tiles_along(block: BlockShape, axis: int, side: int) -> int:
    """Tiles along an axis of the map; none straddles two patches."""
    if block.mask is None:
        return -(-block.size[axis] // side)
    patches = block.mask.axis(axis)
    return sum(-(-int((patches == patch).sum()) // side) for patch in range(int(patches.max()) + 1))


def _masker(block: BlockShape) -> Iterator[BlockKernel]:
    mask = block.mask
    assert mask is not None
    patches = mask.patches
    if patches != block.input_size:
        kernel = block.input_size[0] // patches[0], block.input_size[1] // patches[1]
        window = WindowShape(block.batch, kernel, kernel, (0, 0), _POINT, block.input_size, patches)
        yield BlockKernel("masker.pool", "masker", (PoolWorkload("average", window, block.in_channels, True),))
    rows = block.batch * patches[0] * patches[1]
    logits = ConvWorkload(
        rows=rows, input_rows=rows, taps=1, groups=1, in_channels=block.in_channels, out_channels=2, gathers=False,
        counted=False, scatters=False,
    )  # fmt: skip
    yield BlockKernel("masker.conv", "masker", (logits,))


def _shortcut(block: BlockShape, *, adds: bool) -> list[BlockKernel]:
    if not block.has_shortcut:
        return []
    conv = ConvWorkload(
        rows=_pixels(block, block.size), input_rows=_pixels(block, block.input_size), taps=1, groups=1,
        in_channels=block.in_channels, out_channels=block.out_channels, gathers=block.stride > 1, counted=False,
        scatters=False, epilogue=Epilogue(add=True, after=_RELU) if adds else Epilogue(),
    )  # fmt: skip
    return [BlockKernel("shortcut", "shortcut", (conv,))]


def _base(block: BlockShape) -> list[BlockKernel]:
    """The shortcut's result where the mask is off: activated into the block's output."""
    if not block.has_shortcut:
        return []
    rows = _pixels(block, block.size)
    kind = MapWorkload(
        rows=rows, pixels=rows // block.batch, channels=block.out_channels, op="Identity", operands=("row",),
        operand_rows=(rows,), counted=False, scatters=False, epilogue=Epilogue(after=_RELU),
    )  # fmt: skip
    return [BlockKernel("base", "base", (kind,))]


def _pixels(block: BlockShape, size: tuple[int, int]) -> int:
    return block.batch * size[0] * size[1]

