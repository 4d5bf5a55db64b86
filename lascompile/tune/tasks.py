"""What there is to tune in a network: its kernels, each once, with how often it runs and on which rows."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from lascompile.analysis.gates import Mask
from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.frontend.supported import check_supported
from lascompile.lower.kernels import ScheduledKernel, Scheduler
from lascompile.lower.lower import analyse, lower
from lascompile.lower.program import Buffer, Program, Step
from lascompile.lower.supported import SUPPORTED
from lascompile.plan.algorithms import Algorithm
from lascompile.plan.numerics import Numerics
from lascompile.records import TargetKey
from lascompile.records import Task as RecordTask
from lascompile.target import Target
from lascompile.tune.activity import Activity, Decided, Dilated, Region, United
from lascompile.tune.families import Family, families_of
from lascompile.workload import ConvWorkload, DilateWorkload, TableWorkload, UnionWorkload


@dataclass(frozen=True)
class Setting:
    """What all tasks of a run share.

    Attributes:
        target: What code is made for.
        threads: Threads that run a kernel.
        device: The name of the machine that measures.
        activation_rate: Share of each mask's patches that are on.
        numerics: Which algorithms may be tuned.
    """

    target: Target
    threads: int
    device: str
    activation_rate: float
    numerics: Numerics = Numerics.FAST


@dataclass(frozen=True)
class TuningTask:
    """A kernel, and an algorithm to compute it by.

    Attributes:
        workload: The kernel.
        family: The algorithm and its space.
        activity: On which rows the kernel runs; where it runs in several ways, the one that it runs in most often.
        calls: How often it runs in an inference.
        setting: Where it runs.
        batch: Images at a time.
        is_default: Whether `build` computes the kernel by this algorithm where there are no records.
    """

    workload: ConvWorkload
    family: Family
    activity: Activity
    calls: int
    setting: Setting
    batch: int = 1
    is_default: bool = True

    @property
    def name(self) -> str:
        """For people: what it does, its shape, its algorithm."""
        w = self.workload
        return f"{w.name()} {w.in_channels}→{w.out_channels} ×{w.rows} {self.family.name}"

    @property
    def rate(self) -> float:
        """The activation rate, 1 for a kernel that is not dynamic."""
        return self.setting.activation_rate if self.workload.counted else 1.0

    @property
    def record_task(self) -> RecordTask:
        """The task as records name it; that of all algorithms for the workload."""
        target = TargetKey.of(self.setting.target)
        return RecordTask(
            self.workload, target, self.setting.threads, self.setting.device, self.rate, self.batch
        )

    def at(self, activation_rate: float) -> TuningTask:
        """The same at another activation rate."""
        return replace(self, setting=replace(self.setting, activation_rate=activation_rate))


def tasks_of_model(
    path: Path, setting: Setting, shapes: Mapping[str, Sequence[int]] | None = None
) -> list[TuningTask]:
    """The tasks of the ONNX file `path`.

    Raises:
        UsageError, UnsupportedModelError: As for `build`.
    """
    return tasks_of_graph(simplify(load_model(path, shapes)).graph, setting)


def tasks_of_zoo(
    architecture: str, setting: Setting, granularity: Sequence[int] | None = None, input_size: int = 224, batch: int = 1
) -> list[TuningTask]:
    """The tasks of a network of the zoo, whose weights do not matter.

    Raises:
        UsageError: There is no such network, or a granularity does not fit.
    """
    with zoo_file(architecture, granularity, input_size, batch) as file:
        return tasks_of_model(file, setting)


@contextmanager
def zoo_file(
    architecture: str, granularity: Sequence[int] | None = None, input_size: int = 224, batch: int = 1
) -> Iterator[Path]:
    """A network of the zoo as an ONNX file that exists for a while.

    Raises:
        UsageError: There is no such network, or a granularity does not fit.
    """
    from lascompile.models.onnx_export import export
    from lascompile.models.zoo import create_model

    model = create_model(architecture, granularity=granularity, input_size=input_size)
    with tempfile.TemporaryDirectory(prefix="lascompile-") as folder:
        file = Path(folder) / f"{architecture}.onnx"
        export(model, file, (input_size, input_size), batch, "torchscript")
        yield file


def tasks_of_graph(graph: ir.Graph, setting: Setting) -> list[TuningTask]:
    """The tasks of a network in canonical form.

    Raises:
        UnsupportedModelError: As for `build`.
    """
    check_supported(graph, SUPPORTED)
    analysis = analyse(graph)
    program = lower(graph, analysis, Scheduler(setting.target, setting.threads, setting.numerics))
    masks = [gate.mask for gate in analysis.gates if gate.is_spatial]
    batch = int(program.inputs[0].shape[0]) if program.inputs and program.inputs[0].shape else 1
    return tasks_of_program(program, masks, setting, batch)


def merge_tasks(tasks: Sequence[TuningTask]) -> list[TuningTask]:
    """Tasks of several networks or rates, equal ones once, their calls added up."""
    merged: dict[object, TuningTask] = {}
    for task in tasks:
        key = (task.record_task, task.family.name)
        calls = task.calls + (merged[key].calls if key in merged else 0)
        merged[key] = replace(merged.get(key, task), calls=calls)
    return list(merged.values())


def tasks_of_program(
    program: Program, masks: Sequence[Mask], setting: Setting, batch: int = 1
) -> list[TuningTask]:
    """The tasks of a program: its kernels that have a space, equal ones once.

    Args:
        program: As it was lowered.
        masks: The masks of its spatial gates.
        setting: Where it is to run.
        batch: Images at a time.
    """
    reader = _Reader(program, masks)
    ways: dict[ConvWorkload, Counter[Activity]] = {}
    chosen: dict[ConvWorkload, Algorithm | None] = {}
    for step in program.steps:
        kernel = step.kernel
        if isinstance(kernel, ScheduledKernel) and isinstance(kernel.workload, ConvWorkload):
            ways.setdefault(kernel.workload, Counter())[reader.activity(step, kernel.workload)] += 1
            chosen[kernel.workload] = kernel.algorithm
    return [
        TuningTask(
            workload,
            family,
            found.most_common(1)[0][0],
            found.total(),
            setting,
            batch,
            is_default=family.algorithm is chosen[workload],
        )
        for workload, found in ways.items()
        for family in families_of(workload, setting.target, setting.numerics)
    ]


class _Reader:
    """Follows the buffers of a kernel back to the masks that fill them."""

    def __init__(self, program: Program, masks: Sequence[Mask]) -> None:
        self._masks = masks
        self._made_by = {id(output.root): step for step in program.steps for output in step.outputs if _is_list(step)}
        self._decisions = {id(buffer.root): name for name, buffer in program.decisions.items()}

    def activity(self, step: Step, workload: ConvWorkload) -> Activity:
        # A kernel may take more than its workload says, behind all that is looked for here.
        given = dict(zip(workload.arguments()[:-1], step.arguments, strict=False))
        rows = self._region_of_list(given["count"]) if workload.counted else None
        if not workload.gathers:
            return Activity(rows)
        maker = self._made_by.get(id(given["table"].root))
        if maker is None:
            known = given["table"].data
            assert known is not None
            return Activity(rows, constant_table=known.astype(np.int32).tobytes())
        made = _workload(maker)
        if not isinstance(made, TableWorkload):
            return Activity(rows)  # the list itself
        source = self._region_of_list(maker.arguments[2]) if made.packed else None
        return Activity(rows, made.window, source)

    def _region_of_list(self, buffer: Buffer) -> Region:
        """The pixels in a list, by any of the buffers that belong to it."""
        return self._region(self._made_by[id(buffer.root)].arguments[0])

    def _region(self, active: Buffer) -> Region:
        step = self._made_by[id(active.root)]
        made = _workload(step)
        if isinstance(made, DilateWorkload):
            return Dilated(made.window, self._region(step.arguments[0]))
        if isinstance(made, UnionWorkload):
            return United(self._region(step.arguments[0]), self._region(step.arguments[1]))
        name, index = self._decisions[id(step.arguments[0].root)], step.arguments[1].data
        assert index is not None
        mask = next(mask for mask in self._masks if mask.name == name and np.array_equal(mask.index, index))
        return Decided(name, mask.size, np.ascontiguousarray(mask.patches, dtype=np.int32).tobytes())


def _is_list(step: Step) -> bool:
    return step.part == "lists"


def _workload(step: Step) -> object:
    return step.kernel.workload if isinstance(step.kernel, ScheduledKernel) else None
