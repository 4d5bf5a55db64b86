"""How a tuning goes, and how it went, as tables and lines for a terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lascompile.tune.progress import Progress, TaskProgress


def progress_table(progress: Progress, most_rows: int | None = None) -> Table:
    """A row a task, those first that take most of the network's time.

    Args:
        progress: The tuning.
        most_rows: Rows that fit; the rest is counted in the last one.
    """
    table = Table("task", box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for heading in ("calls", "trials", "failed", "best µs", "GFLOP/s", "share", "gain"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = _by_share(progress)
    shown = rows if most_rows is None or len(rows) <= most_rows else rows[: max(1, most_rows - 1)]
    for task, share in shown:
        style = "bold" if task is progress.running else ""
        table.add_row(task.task.name, *_cells(task, share), style=style)
    if len(shown) < len(rows):
        table.add_row(f"… and {len(rows) - len(shown)} more")
    return table


def progress_view(progress: Progress, most_rows: int) -> Group:
    """The table, and a line about the whole."""
    return Group(progress_table(progress, most_rows), Text(progress_line(progress), style="bold"))


def progress_line(progress: Progress) -> str:
    """The tuning in one line."""
    parts = [f"trial {progress.trials} of {progress.budget}"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.gain is not None:
        parts.append(f"gain ×{progress.gain:.3f}")
    if progress.left_s is not None:
        parts.append(f"{duration(progress.left_s)} left")
    if progress.running is not None:
        parts.append(progress.running.task.name)
    return " · ".join(parts)


def summary_lines(progress: Progress) -> list[str]:
    """What came out, for people."""
    before, left = progress.trials - progress.made, max(0, progress.budget - progress.trials)
    made = f"{progress.made} trial{'s' * (progress.made != 1)}"
    lines = [f"{made} in {duration(progress.elapsed_s)} for {len(progress.tasks)} tasks"]
    if before:
        lines[0] += f", {before} on record before"
    if left:
        lines[0] += f", {left} of {progress.budget} left: the same command goes on"
    if progress.failed:
        counts = Counter(reason for task in progress.tasks for reason in task.failures)
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
        lines[0] += f", {progress.failed} failed ({reasons})"
    untuned, tuned = progress.times_s
    if progress.gain is not None:
        lines.append(f"kernels of an inference: {untuned * 1e3:.2f} ms untuned, {tuned * 1e3:.2f} ms tuned")
    exhausted = sum(task.exhausted for task in progress.tasks)
    if exhausted:
        lines.append(f"{exhausted} tasks have no candidates left")
    return lines


def progress_json(progress: Progress) -> dict[str, Any]:
    """The same for machines."""
    untuned, tuned = progress.times_s
    return {
        "schema": 1,
        "trials": progress.trials,
        "failed": progress.failed,
        "budget": progress.budget,
        "elapsed_s": progress.elapsed_s,
        "untuned_s": untuned,
        "tuned_s": tuned,
        "tasks": [
            {
                "name": task.task.name,
                "workload": task.task.workload.key(),
                "algorithm": task.task.algorithm.name,
                "activation_rate": task.task.rate,
                "calls": task.task.calls,
                "trials": task.trials,
                "failed": task.failed,
                "untuned_s": task.untuned_s,
                "best_s": task.best_s,
                "share": share,
            }
            for task, share in _by_share(progress)
        ],
    }


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `1 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _by_share(progress: Progress) -> list[tuple[TaskProgress, float]]:
    pairs = zip(progress.tasks, progress.shares(), strict=True)
    return sorted(pairs, key=lambda pair: (-pair[1], -pair[0].task.calls * pair[0].task.workload.flops))


def _cells(task: TaskProgress, share: float) -> list[str]:
    best, speed = task.best_s, task.gflops_per_s
    gain = task.untuned_s / best if best and task.untuned_s else None
    return [
        str(task.task.calls),
        str(task.trials),
        str(task.failed) if task.failed else "",
        f"{best * 1e6:.1f}" if best else "-",
        f"{speed:.0f}" if speed else "-",
        f"{share:.1%}" if best else "-",
        f"×{gain:.2f}" if gain else "-",
    ]
