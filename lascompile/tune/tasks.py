"""What there is to tune in a network: its kernels, each once, with how often it runs and on which rows."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import onnx_ir as ir

from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.frontend.supported import check_supported
from lascompile.lower.kernels import Scheduler
from lascompile.lower.lower import analyse, draft
from lascompile.lower.supported import SUPPORTED
from lascompile.records import TargetKey
from lascompile.records import Task as RecordTask
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import backend_of
from lascompile.schedules.numerics import Numerics
from lascompile.sites.activity import Activity
from lascompile.sites.site import Site
from lascompile.target import Target
from lascompile.workload import ConvWorkload, Form, WinogradWorkload, Workload


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


Contest = tuple[Form, float]
"""A convolution over rows, and the activation rate: what kernels of several forms compete for."""


@dataclass(frozen=True)
class TuningTask:
    """A kernel, and an algorithm to compute it by.

    Attributes:
        workload: The kernel.
        algorithm: What computes it.
        activity: On which rows the kernel runs; where it runs in several ways, the one that it runs in most often.
        calls: How often it runs in an inference.
        setting: Where it runs.
        batch: Images at a time.
        is_default: Whether `build` computes the kernel by this algorithm where there are no records.
        row_form: The kernel over rows that computes the same; None if that is the workload.
    """

    workload: Form
    algorithm: Algorithm
    activity: Activity
    calls: int
    setting: Setting
    batch: int = 1
    is_default: bool = True
    row_form: ConvWorkload | None = None

    @property
    def name(self) -> str:
        """For people: what it does, its shape, its algorithm."""
        kernel = describe(self.workload)
        return kernel if isinstance(self.workload, WinogradWorkload) else f"{kernel} {self.algorithm.name}"

    @property
    def contest(self) -> Contest:
        """What it has in common with its rivals, of which a network takes the fastest."""
        return self.row_form or self.workload, self.rate

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


def describe(workload: Form) -> str:
    """For people: what a kernel does, and its shape."""
    size = f"{workload.tiles} tiles" if isinstance(workload, WinogradWorkload) else str(workload.rows)
    return f"{workload.name()} {workload.in_channels}→{workload.out_channels} ×{size}"


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
    scheduler = Scheduler(setting.target, setting.threads, setting.numerics)
    sites = draft(graph, analyse(graph), scheduler).sites
    kernels = scheduler.plan_sites(sites)
    first = next((value for value in graph.inputs if value.name not in graph.initializers), None)
    batch = int(first.shape[0]) if first is not None and first.shape else 1  # type: ignore[arg-type]
    return tasks_of_sites(sites, [(kernel.workload, kernel.algorithm) for kernel in kernels], setting, batch)


def merge_tasks(tasks: Sequence[TuningTask]) -> list[TuningTask]:
    """Tasks of several networks or rates, equal ones once, their calls added up."""
    merged: dict[object, TuningTask] = {}
    for task in tasks:
        key = (task.record_task, task.algorithm.name)
        calls = task.calls + (merged[key].calls if key in merged else 0)
        merged[key] = replace(merged.get(key, task), calls=calls)
    return list(merged.values())


def tasks_of_sites(
    sites: Sequence[Site], chosen: Collection[tuple[Workload, Algorithm | None]], setting: Setting, batch: int = 1
) -> list[TuningTask]:
    """The tasks of a network: the kernels that may compute one of its convolutions, equal ones once.

    Args:
        sites: Its convolutions.
        chosen: The forms and algorithms by which they are computed where nothing is asked for.
        setting: Where it is to run.
        batch: Images at a time.
    """
    backend = backend_of(setting.target.kind)
    ways: dict[Form, Counter[Activity]] = {}
    row_forms: dict[Form, Counter[ConvWorkload]] = {}
    for site in sites:
        row_form = site.forms[0].workload
        assert isinstance(row_form, ConvWorkload)
        for form in site.forms:
            if backend.serving(form.workload, setting.target, setting.numerics):
                ways.setdefault(form.workload, Counter())[form.activity] += 1
                row_forms.setdefault(form.workload, Counter())[row_form] += 1
    return [
        TuningTask(
            form,
            algorithm,
            _most_common(found),
            found.total(),
            setting,
            batch,
            is_default=(form, algorithm) in chosen,
            row_form=None if isinstance(form, ConvWorkload) else _most_common(row_forms[form]),
        )
        for form, found in ways.items()
        for algorithm in backend.serving(form, setting.target, setting.numerics)
    ]


_T = TypeVar("_T")


def _most_common(found: Counter[_T]) -> _T:
    return found.most_common(1)[0][0]
