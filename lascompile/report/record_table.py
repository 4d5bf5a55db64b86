"""Records of tuning as a table: a row a task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.markup import escape
from rich.table import Table

from lascompile.records.matching import Stored, eligible, is_dynamic, median_s
from lascompile.records.measured import WRONG


@dataclass(frozen=True)
class TaskSummary:
    """What is on record of one task.

    Attributes:
        shape: Rows × taps × channels, for people.
        activation_rate: None for a kernel that is not dynamic.
        source: "user" or "lascompile", whose files these are.
        trials: All of them, failed ones too.
        wrong: Failed ones whose output was wrong.
        best: Identity of the fastest record; empty where all failed.
    """

    device: str
    tvm: str
    target: str
    threads: int
    batch: int
    kernel: str
    workload: str
    shape: str
    activation_rate: float | None
    source: str
    trials: int
    failed: int
    wrong: int
    best: str = ""
    algorithm: str = ""
    median_s: float | None = None
    when: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def summarize(items: Iterable[Stored]) -> list[TaskSummary]:
    """A summary of each task, by device, version of TVM and kernel."""
    groups: dict[object, list[Stored]] = {}
    for item in items:
        groups.setdefault((item.value.task, item.value.versions.tvm, item.shipped), []).append(item)
    summaries = [_summary(group) for group in groups.values()]
    return sorted(
        summaries, key=lambda s: (s.device, s.target, s.tvm, s.kernel, s.shape, s.activation_rate or 0.0, s.source)
    )


def task_tables(summaries: Iterable[TaskSummary]) -> Iterator[tuple[str, Table]]:
    """A heading and a table for each device, target and version of TVM."""
    for (device, target, tvm), group in groupby(summaries, key=lambda s: (s.device, s.target, s.tvm)):
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in (
            "kernel",
            "shape",
            "r",
            "threads",
            "trials",
            "failed",
            "best ms",
            "algorithm",
            "record",
            "measured",
        ):
            is_number = name in ("r", "threads", "trials", "failed", "best ms")
            table.add_column(name, justify="right" if is_number else "left", no_wrap=True)
        for summary in group:
            table.add_row(*map(escape, _cells(summary)))
        yield f"{device or 'unknown device'}, {target}, TVM {tvm}", table


def _summary(group: list[Stored]) -> TaskSummary:
    first = group[0].value
    task, workload = first.task, first.task.workload
    failures = [item.value.failure for item in group if item.value.failure is not None]
    best = min(eligible(group), key=median_s, default=None)
    found: dict[str, Any] = {}
    if best is not None:
        record = best.value
        found = {"best": record.identity, "algorithm": record.algorithm, "when": record.when}
        found["median_s"] = median_s(best)
    return TaskSummary(
        device=task.device,
        tvm=first.versions.tvm,
        target=str(task.target),
        threads=task.threads,
        batch=task.batch,
        kernel=workload.name(),
        workload=workload.key(),
        shape=show_shape(workload),
        activation_rate=task.activation_rate if is_dynamic(workload) else None,
        source="lascompile" if group[0].shipped else "user",
        trials=len(group),
        failed=len(failures),
        wrong=sum(failure.reason == WRONG for failure in failures),
        **found,
    )


def show_shape(workload: object) -> str:
    """`3136 rows, 64→256`, as far as the workload has rows and channels."""
    sizes = vars(workload)
    rows = next((f"{sizes[name]} {name}" for name in ("rows", "tiles", "elements") if name in sizes), "")
    channels = f"{sizes['in_channels']}→{sizes['out_channels']}" if "in_channels" in sizes else ""
    return ", ".join(filter(None, (rows, channels or (f"{sizes['channels']} channels" if "channels" in sizes else ""))))


def _cells(summary: TaskSummary) -> list[str]:
    failed = f"{summary.failed}" if not summary.wrong else f"{summary.failed} ({summary.wrong} wrong)"
    return [
        summary.kernel,
        summary.shape,
        "" if summary.activation_rate is None else f"{summary.activation_rate:.2f}",
        str(summary.threads),
        str(summary.trials),
        failed if summary.failed else "",
        "" if summary.median_s is None else f"{summary.median_s * 1e3:.3f}",
        summary.algorithm,
        summary.best,
        f"{summary.when[:10]}{'' if summary.source == 'user' else ', shipped'}" if summary.best else "",
    ]
