"""Predict networks of the zoo before anyone trains them: block by block, from their shapes alone.

For each convolution the form and the algorithm are chosen that are predicted to be fastest, as `build` does, with the
decisions that a schedule has by default. Blocks of one shape are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from lascompile.errors import UsageError
from lascompile.latency.block_kernels import BlockKernel, BlockShape, Part, block_kernels, list_kernels
from lascompile.latency.counts import expected_count
from lascompile.latency.gpu import GpuModel
from lascompile.latency.observations import KernelCall
from lascompile.latency.predictor import Prediction, Predictor
from lascompile.machine import DataSheet
from lascompile.models.config import ResNetConfig
from lascompile.schedules.backends import backend_of
from lascompile.schedules.numerics import Numerics
from lascompile.target import CpuTarget
from lascompile.workload import ConvWorkload, Form, LayoutWorkload, PoolWorkload, WindowShape, Workload

PARTS: tuple[Part, ...] = ("masker", "lists", "shortcut", "base", "conv")


@dataclass(frozen=True)
class Chosen:
    """A kernel as it was chosen.

    Attributes:
        kernel: Which.
        algorithm: By which algorithm; empty where there is one way only.
        count: Active rows or tiles.
        prediction: How long it takes.
    """

    kernel: BlockKernel
    algorithm: str
    count: float
    prediction: Prediction


@dataclass(frozen=True)
class BlockLatency:
    """A predicted block.

    Attributes:
        name: In the network.
        shape: Of the block; None for what lies outside of blocks.
        rate: Activation rate of its mask; 1 without one.
        kernels: Its kernels as they were chosen.
    """

    name: str
    shape: BlockShape | None
    rate: float
    kernels: tuple[Chosen, ...]

    @property
    def latency_s(self) -> float:
        """Sum over its kernels."""
        return sum(chosen.prediction.latency_s for chosen in self.kernels)

    @property
    def low_s(self) -> float:
        """Sum of the kernels' lower ends: errors of one device go together."""
        return sum(chosen.prediction.low_s for chosen in self.kernels)

    @property
    def high_s(self) -> float:
        """Sum of the upper ends."""
        return sum(chosen.prediction.high_s for chosen in self.kernels)

    def part_s(self, part: str) -> float:
        """Sum over the kernels of one part."""
        return sum(chosen.prediction.latency_s for chosen in self.kernels if chosen.kernel.part == part)


class Device(Protocol):
    """What tells how long kernels take."""

    @property
    def sheet(self) -> DataSheet:
        """The device."""
        ...

    def convolution(self, forms: Sequence[Form], counts: Sequence[float]) -> tuple[int, str, Prediction]:
        """Which of `forms` is fastest, by which algorithm, and how long it takes."""
        ...

    def light(self, workload: Workload, share: float) -> Prediction:
        """How long a kernel takes that is no convolution, with a share of its rows active."""
        ...


@dataclass(frozen=True)
class CpuDevice:
    """A CPU, by its predictor."""

    predictor: Predictor
    numerics: Numerics = Numerics.FAST

    @property
    def sheet(self) -> DataSheet:
        """Of the predictor."""
        return self.predictor.sheet

    @cached_property
    def target(self) -> CpuTarget:
        """Enough of a target to choose decisions by."""
        return _target(self.sheet)

    def convolution(self, forms: Sequence[Form], counts: Sequence[float]) -> tuple[int, str, Prediction]:
        """By every algorithm that may compute it, with default decisions."""
        backend, threads = backend_of(self.target.kind), self.predictor.threads
        ways: list[tuple[int, str]] = []
        calls: list[KernelCall] = []
        for position, (form, count) in enumerate(zip(forms, counts, strict=True)):
            for algorithm in backend.serving(form, self.target, self.numerics):
                decisions = algorithm.decide(form, self.target, threads)
                ways.append((position, algorithm.name))
                calls.append(KernelCall(form, self.target.kind, algorithm.name, decisions, count, threads))
        predictions = self.predictor.predict(calls)
        best = min(range(len(ways)), key=lambda number: predictions[number].latency_s)
        return *ways[best], predictions[best]

    def light(self, workload: Workload, share: float) -> Prediction:
        """From what it moves."""
        work_of = backend_of(self.target.kind).work[type(workload)]
        work = work_of(workload, share, self.predictor.threads, self.predictor.engine)
        return self.predictor.predict_light(work)


@dataclass(frozen=True)
class GpuDevice:
    """A GPU, by its data sheet."""

    sheet: DataSheet

    def convolution(self, forms: Sequence[Form], counts: Sequence[float]) -> tuple[int, str, Prediction]:
        """By the fastest form."""
        model = GpuModel(self.sheet)
        found = [model.predict(form, count) for form, count in zip(forms, counts, strict=True)]
        best = min(range(len(found)), key=lambda number: found[number].latency_s)
        form = forms[best]
        return best, "direct" if isinstance(form, ConvWorkload) else f"winograd{form.m}", found[best]

    def light(self, workload: Workload, share: float) -> Prediction:
        """From what it moves."""
        rows = getattr(workload, "rows", 0)
        return GpuModel(self.sheet).predict(workload, share * rows)


def device_of(sheet: DataSheet, threads: int | None = None, predictor: Predictor | None = None) -> Device:
    """What predicts for `sheet`; a CPU by `predictor`, if one was fitted to it."""
    if sheet.kind == "gpu":
        return GpuDevice(sheet)
    return CpuDevice(predictor or Predictor.from_data_sheet(sheet, threads))


@dataclass
class NetworkPredictor:
    """Predicts networks on one device."""

    device: Device
    _known: dict[tuple[BlockShape, float], tuple[Chosen, ...]] = field(default_factory=dict)

    def network(self, config: ResNetConfig, rates: Sequence[float] | float, batch: int = 1) -> list[BlockLatency]:
        """Stem, every block, and head, in order.

        Args:
            config: The network.
            rates: Activation rate of each block, or one for all.
            batch: Images at a time.

        Raises:
            UsageError: A rate is not in 0 to 1, or there are not as many as blocks.
        """
        shapes = block_shapes(config, batch)
        each = [rates] * len(shapes) if isinstance(rates, int | float) else list(rates)
        if len(each) != len(shapes):
            raise UsageError(f"{len(each)} activation rates for {len(shapes)} blocks: give one, or one a block")
        for rate in each:
            if not 0 <= rate <= 1:
                raise UsageError(f"activation rate {rate:g}: it must be from 0 to 1")
        blocks = [
            self.block(shape, rate, name) for name, shape, rate in zip(config.block_names, shapes, each, strict=True)
        ]
        stem, head = _outside(config, batch)
        return [self._of_kernels("stem", stem), *blocks, self._of_kernels("head", head)]

    def block(self, shape: BlockShape, rate: float = 1.0, name: str = "block") -> BlockLatency:
        """One block under a mask of an activation rate."""
        rate = 1.0 if shape.mask is None else rate
        if (shape, rate) not in self._known:
            self._known[shape, rate] = tuple(self._chosen(shape, rate))
        return BlockLatency(name, shape, rate, self._known[shape, rate])

    def _chosen(self, shape: BlockShape, rate: float) -> list[Chosen]:
        chosen = [self._choose(kernel, shape, rate) for kernel in block_kernels(shape)]
        forms = {one.kernel.name: one.kernel.forms[0] for one in chosen}
        return chosen + [self._choose(kernel, shape, rate) for kernel in list_kernels(shape, forms)]

    def _choose(self, kernel: BlockKernel, shape: BlockShape, rate: float) -> Chosen:
        forms = [form for form in kernel.forms if isinstance(form, Form)]
        if not forms:
            return Chosen(kernel, "", 0.0, self.device.light(kernel.forms[0], rate))
        counts = [expected_count(form, shape.mask, rate, shape.batch, kernel.reach) for form in forms]
        position, algorithm, prediction = self.device.convolution(forms, counts)
        only = replace(kernel, forms=(forms[position],))
        return Chosen(only, algorithm, counts[position], prediction)

    def _of_kernels(self, name: str, kernels: Sequence[BlockKernel]) -> BlockLatency:
        nothing = BlockShape(1, 1, 1, (1, 1))
        return BlockLatency(name, None, 1.0, tuple(self._choose(kernel, nothing, 1.0) for kernel in kernels))


def block_shapes(config: ResNetConfig, batch: int = 1) -> list[BlockShape]:
    """The blocks of a network of the zoo, in order."""
    shapes, inputs = [], config.stem_width
    granularities = iter(config.block_granularity)
    for stage, (depth, width) in enumerate(zip(config.depths, config.widths, strict=True)):
        for number in range(depth):
            outputs = width * config.expansion
            stride = 2 if stage > 0 and number == 0 else 1
            shapes.append(
                BlockShape(
                    inputs, width, outputs, config.map_sizes[stage], stride, config.block == "bottleneck",
                    config.groups, next(granularities), batch,
                )  # fmt: skip
            )
            inputs = outputs
    return shapes


def _outside(config: ResNetConfig, batch: int) -> tuple[list[BlockKernel], list[BlockKernel]]:
    """The kernels before and behind the blocks."""
    height, width = config.input_size
    half, size = ((height + 1) // 2, (width + 1) // 2), config.map_sizes[0]
    packed = LayoutWorkload((batch, 3, height, width), True)
    rows = batch * half[0] * half[1]
    conv = ConvWorkload(
        rows=rows, input_rows=batch * height * width, taps=49, groups=1, in_channels=3,
        out_channels=config.stem_width, gathers=True, counted=False, scatters=False,
    )  # fmt: skip
    window = WindowShape(batch, (3, 3), (2, 2), (1, 1), (1, 1), half, size)
    pool = PoolWorkload("max", window, config.stem_width)
    last, channels = config.map_sizes[-1], config.widths[-1] * config.expansion
    mean = PoolWorkload("average", WindowShape(batch, last, (1, 1), (0, 0), (1, 1), last, (1, 1)), channels)
    linear = ConvWorkload(
        rows=batch, input_rows=batch, taps=1, groups=1, in_channels=channels, out_channels=config.num_classes,
        gathers=False, counted=False, scatters=False,
    )  # fmt: skip
    stem = [("layout", packed), ("conv1", conv), ("maxpool", pool)]
    head = [("avgpool", mean), ("fc", linear)]
    return [BlockKernel(name, "conv", (kind,)) for name, kind in stem], [
        BlockKernel(name, "conv", (kind,)) for name, kind in head
    ]


def _target(sheet: DataSheet) -> CpuTarget:
    """A target with the vectors of a CPU's data sheet."""
    unit = sheet.tensor_unit
    return CpuTarget.like(sheet.arch, sheet.vector_lanes, unit is not None and "bfloat16" in unit.fmas_per_cycle)
