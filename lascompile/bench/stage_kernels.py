"""The convolutions of a masked ResNet's blocks, each as a kernel by itself, with buffers as the network fills them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lascompile.analysis.demand import Window
from lascompile.lower.tiles import cut_into_tiles
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import backend_of
from lascompile.schedules.numerics import Numerics
from lascompile.sites.activity import Activity, Decided, Dilated, Tiles
from lascompile.target import Target
from lascompile.tune import conv_problem, winograd_problem
from lascompile.workload import ConvWorkload, Epilogue, Form, WindowShape, WinogradWorkload, channel_stride

_RELU = (("relu",),)
_SEED = 0

CONVOLUTIONS = ("conv1", "conv2", "conv3")


@dataclass(frozen=True)
class Stage:
    """A stage of a ResNet with bottleneck blocks, on images of 224x224.

    Attributes:
        number: 1 to 4.
        size: Side of its feature maps.
        channels: Of the 3x3 convolution; the blocks' inputs and outputs have four times as many.
        granularity: Side of the patches of its masks.
    """

    number: int
    size: int
    channels: int
    granularity: int

    @property
    def pixels(self) -> int:
        """Of a feature map."""
        return self.size**2


STAGES = (Stage(1, 56, 64, 4), Stage(2, 28, 128, 4), Stage(3, 14, 256, 2), Stage(4, 7, 512, 1))


@dataclass(frozen=True)
class StageCall:
    """The buffers of a convolution, and what they make it do.

    Attributes:
        arrays: All buffers but the weights, by name.
        rows: Pixels that are computed.
        flops: Floating-point operations of the convolution itself, two for a product.
        flops_of_form: Those of the products that the form asks for: fewer of Winograd's, more where tiles overlap.
        row_bytes: Bytes of rows that are read and written, each once, and of the lists and tables.
    """

    arrays: dict[str, np.ndarray]
    rows: int
    flops: int
    flops_of_form: int
    row_bytes: int


def workload_of(stage: Stage, convolution: str) -> ConvWorkload:
    """conv1: 1x1 on the mask dilated by a pixel; conv2: 3x3 from packed rows; conv3: 1x1, added to the residual."""
    pixels, narrow, wide = stage.pixels, stage.channels, 4 * stage.channels
    activated, added = Epilogue(before=_RELU), Epilogue(add=True, after=_RELU)
    if convolution == "conv1":
        return ConvWorkload(pixels, pixels, 1, 1, wide, narrow, True, True, False, epilogue=activated)
    if convolution == "conv2":
        return ConvWorkload(pixels, pixels, 9, 1, narrow, narrow, True, True, False, epilogue=activated)
    return ConvWorkload(
        pixels, pixels, 1, 1, narrow, wide, False, True, True, residual_listed=True, in_place=True, epilogue=added
    )


def forms_of(stage: Stage, convolution: str) -> list[Form]:
    """By rows, and as Winograd tiles of every side that divides a patch."""
    rows = workload_of(stage, convolution)
    if rows.taps != 9:
        return [rows]
    sides = [m for m in (2, 4) if stage.granularity % m == 0]
    return [rows, *(_tile_workload(rows, stage, m) for m in sides)]


def algorithms(form: Form, target: Target) -> Iterator[Algorithm]:
    """Those that can compute it on `target`, in the order of the table."""
    return iter(backend_of(target.kind).serving(form, target, Numerics.FAST))


def call_of(stage: Stage, convolution: str, form: Form, rate: float) -> StageCall:
    """The kernel's buffers under a coherent mask with the share `rate` of the patches on."""
    workload = workload_of(stage, convolution)
    activity = _activity(stage, convolution)
    problem = conv_problem.make_problem(workload, activity, rate, _SEED)
    flops = 2 * problem.count * workload.taps * workload.in_channels * workload.out_channels
    arrays, flops_of_form = problem.arrays, flops
    if isinstance(form, WinogradWorkload):
        tiled = replace(activity, window=None, tiles=_tiles(stage, form.m), packs=True)
        in_tiles = winograd_problem.make_problem(form, tiled, rate, _SEED)
        arrays, flops_of_form = in_tiles.arrays, form.flops * in_tiles.count // form.tiles
    return StageCall(arrays, problem.count, flops, flops_of_form, _row_bytes(form, arrays, problem.count))


def _tile_workload(rows: ConvWorkload, stage: Stage, m: int) -> WinogradWorkload:
    return WinogradWorkload(
        m=m,
        tiles=(stage.size // m) ** 2,
        input_rows=rows.input_rows,
        output_rows=rows.rows,
        in_channels=rows.in_channels,
        out_channels=rows.out_channels,
        counted=True,
        epilogue=rows.epilogue,
    )


def _tiles(stage: Stage, m: int) -> Tiles:
    """Those of the map, which no patch's edge cuts."""
    size = (stage.size, stage.size)
    tiling = cut_into_tiles(Window((3, 3), (1, 1), (1, 1), (1, 1), size, size), 1, m, None)
    return Tiles.of(tiling.inputs, tiling.outputs)


def _activity(stage: Stage, convolution: str) -> Activity:
    size = stage.size
    y, x = np.divmod(np.arange(stage.pixels, dtype=np.int32), np.int32(size))
    patches = y // stage.granularity * (size // stage.granularity) + x // stage.granularity
    mask = Decided("mask", (1, size, size), patches.astype(np.int32).tobytes())
    window = WindowShape(1, (3, 3), (1, 1), (1, 1), (1, 1), (size, size), (size, size))
    if convolution == "conv1":
        return Activity(rows=Dilated(window, mask))
    if convolution == "conv2":
        return Activity(rows=mask, window=window, source=Dilated(window, mask))
    return Activity(rows=mask)


def _row_bytes(form: Form, arrays: dict[str, np.ndarray], rows: int) -> int:
    """Of input rows, output rows (twice where they are added to), and the numbers that say where they are."""
    tables = [arrays[name] for name in ("table", "list", "input_table", "output_table") if name in arrays]
    indices = sum(table[: int(arrays["count"][0])].size for table in tables)
    source = arrays.get("table", arrays.get("input_table"))
    read = rows if source is None else np.unique(source[: int(arrays["count"][0])]).size
    outputs = rows * channel_stride(form.out_channels) * (2 if form.epilogue.takes_residual else 1)
    return 4 * (read * channel_stride(form.in_channels) + outputs + indices)
