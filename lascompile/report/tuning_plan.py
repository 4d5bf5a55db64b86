"""What a tuning will turn to, for a terminal: the convolutions of a network by their share of its time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from lascompile.plan.prediction import PredictedCosts
from lascompile.sites.site import SiteForm
from lascompile.tune.progress import Progress, TaskProgress
from lascompile.tune.tasks import TuningTask, describe

_LEAST_SHARE = 0.005
"""What takes less is not shown one by one."""


@dataclass(frozen=True)
class PlannedKernel:
    """Convolutions of one kind and shape.

    Attributes:
        name: What they do, and their shape.
        calls: How often an inference does it, or one of each network at each activation rate.
        share: Of the time of all convolutions, as it is predicted, untuned.
        algorithms: By which they can be tuned.
        tasks: How many tasks that makes, over forms, algorithms and activation rates.
        trials: How many are on record.
    """

    name: str
    calls: int
    share: float
    algorithms: tuple[str, ...]
    tasks: int
    trials: int


def planned_kernels(progress: Progress) -> list[PlannedKernel]:
    """The tasks of `progress` by what they compute, the largest share of the network's time first."""
    found: dict[str, list[TaskProgress]] = {}
    for task in progress.tasks:
        found.setdefault(describe(task.task.contest[0]), []).append(task)
    seconds = {name: _seconds(task.task for task in together) for name, together in found.items()}
    total = sum(seconds.values())
    kernels = [
        PlannedKernel(
            name,
            calls=_calls(task.task for task in together),
            share=seconds[name] / total,
            algorithms=tuple(sorted({task.task.algorithm.name for task in together})),
            tasks=len(together),
            trials=sum(task.trials for task in together),
        )
        for name, together in found.items()
    ]
    return sorted(kernels, key=lambda kernel: -kernel.share)


def plan_table(kernels: Sequence[PlannedKernel]) -> Table:
    """A row for each of `kernels`, and one for all that take next to nothing."""
    table = Table("convolution", box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for heading in ("calls", "share", "tasks", "trials"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("algorithms")
    small = [kernel for kernel in kernels if kernel.share < _LEAST_SHARE]
    shown = kernels if len(small) < 2 else [kernel for kernel in kernels if kernel not in small]
    for kernel in shown:
        table.add_row(kernel.name, *_cells([kernel]))
    if len(shown) < len(kernels):
        table.add_row(f"… and {len(small)} more", *_cells(small))
    return table


def plan_json(kernels: Sequence[PlannedKernel]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [asdict(kernel) for kernel in kernels]


def _cells(kernels: Sequence[PlannedKernel]) -> list[str]:
    return [
        str(sum(kernel.calls for kernel in kernels)),
        f"{sum(kernel.share for kernel in kernels):.1%}",
        str(sum(kernel.tasks for kernel in kernels)),
        str(sum(kernel.trials for kernel in kernels)),
        _in_short({algorithm for kernel in kernels for algorithm in kernel.algorithms}),
    ]


def _in_short(algorithms: Iterable[str]) -> str:
    """`direct, winograd2/4`."""
    endings: dict[str, list[str]] = {}
    for name in sorted(algorithms):
        stem = re.sub(r"\d+$", "", name)
        endings.setdefault(stem, []).append(name.removeprefix(stem))
    return ", ".join(stem + "/".join(several) for stem, several in endings.items())


def _seconds(tasks: Iterable[TuningTask]) -> float:
    """Of all calls, in the form and by the algorithm that `build` would choose."""
    costs: dict[object, list[tuple[bool, float]]] = {}
    for task in tasks:
        setting, count = task.setting, SiteForm(task.workload, task.activity).count(task.rate)
        decisions = task.algorithm.decide(task.workload, setting.target, setting.threads)
        prediction = PredictedCosts(setting.target, setting.threads)
        seconds = prediction.cost(task.algorithm, task.workload, decisions, count).seconds
        costs.setdefault(task.contest, []).append((not task.is_default, task.calls * seconds))
    return sum(min(several)[1] for several in costs.values())


def _calls(tasks: Iterable[TuningTask]) -> int:
    """Not counted again for each form and algorithm."""
    calls: dict[object, int] = {}
    for task in tasks:
        calls[task.contest] = max(task.calls, calls.get(task.contest, 0))
    return sum(calls.values())
