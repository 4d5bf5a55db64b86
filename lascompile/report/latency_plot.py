"""The latency table as a picture: latency against the activation rate, a panel for each stage and kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lascompile.files import writing
from lascompile.latency import Row
from lascompile.records.matching import is_dynamic
from lascompile.report.latency_rows import show_stage
from lascompile.report.time_tables import show_granularity
from lascompile.workload import ConvWorkload, WinogradWorkload, Workload

_PANEL_INCHES = (3.6, 2.9)
_STYLES = (("o", "-"), ("s", "-."), ("^", ":"), ("D", (0, (5, 1, 1, 1, 1, 1))), ("v", (0, (1, 3))))
_HIGHEST_LINE = 2.0
"""The axis ends at so many times the latency of what would be chosen."""

_MOST_LINES_IN_COLUMN = 5
_HIGHEST_BAND = 1.4
"""A 90th percentile so many times above the highest median does not fit into the panel."""


@dataclass
class Line:
    """Latencies by activation rate, the last measurement of each."""

    rows: dict[float, Row] = field(default_factory=dict)

    def points(self) -> list[tuple[float, Row]]:
        """By rising rate."""
        return sorted(self.rows.items())


@dataclass
class Panel:
    """One kernel of one stage.

    Attributes:
        stage: C, H, W.
        kernel: What it does, whether it does so everywhere or at some pixels.
        dynamic: Lines by granularity and algorithm.
        dense: The row of each algorithm that computes everywhere.
    """

    stage: tuple[int, int, int]
    kernel: str
    dynamic: dict[tuple[str, str], Line] = field(default_factory=dict)
    dense: dict[str, Row] = field(default_factory=dict)


def arrange(rows: Iterable[Row]) -> list[Panel]:
    """The panels of `rows`, finest stage first; rows without a stage are left out."""
    panels: dict[tuple[Any, str], Panel] = {}
    for row in sorted(rows, key=lambda row: row.when):
        cell = row.cell
        if cell.stage is None:
            continue
        kernel = _kernel(cell.task.workload)
        panel = panels.setdefault((cell.stage, kernel), Panel(cell.stage, kernel))
        if is_dynamic(cell.task.workload):
            line = panel.dynamic.setdefault((show_granularity(cell.granularity), cell.algorithm), Line())
            line.rows[cell.task.activation_rate] = row
        else:
            panel.dense[cell.algorithm] = row
    return sorted(panels.values(), key=lambda panel: (-panel.stage[1] * panel.stage[2], panel.stage[0], panel.kernel))


def plot(panels: Sequence[Panel], title: str, path: Path) -> None:
    """Draw `panels` to `path`, a PNG or SVG by its ending: a row of them for each stage, dense kernels dashed.

    Bands reach from the 10th to the 90th percentile.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    stages = list(dict.fromkeys(panel.stage for panel in panels))
    by_stage = [[panel for panel in panels if panel.stage == stage] for stage in stages]
    columns = max(map(len, by_stage))
    # With these, the picture of the same rows is the same file.
    with matplotlib.rc_context({"svg.hashsalt": "lascompile"}):
        size = (_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * len(stages) + 0.4)
        figure, grid = pyplot.subplots(len(stages), columns, figsize=size, squeeze=False, layout="constrained")
        colors = _colors(panels, pyplot.rcParams["axes.prop_cycle"].by_key()["color"])
        for axes_row, panels_row in zip(grid, by_stage, strict=True):
            for position, axes in enumerate(axes_row):
                if position < len(panels_row):
                    _draw(axes, panels_row[position], colors)
                else:
                    axes.set_axis_off()
        figure.suptitle(title)
        kind = path.suffix.lower().removeprefix(".")
        with writing(path) as file:
            figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        pyplot.close(figure)


def _colors(panels: Iterable[Panel], cycle: Sequence[str]) -> dict[object, str]:
    """One colour a granularity in all panels; black is for what is dense."""
    granularities = sorted({granularity for panel in panels for granularity, _ in panel.dynamic}, reverse=True)
    return {granularity: cycle[number % len(cycle)] for number, granularity in enumerate(granularities)}


def _draw(axes: Any, panel: Panel, colors: dict[object, str]) -> None:
    styles = _styles(panel)
    top_s = _top_s(panel)
    unit, scale = ("ms", 1e3) if top_s >= 1e-3 else ("µs", 1e6)
    for (granularity, algorithm), line in sorted(panel.dynamic.items(), reverse=True):
        rates, rows = zip(*line.points(), strict=True)
        middle, low, high = (
            [getattr(row.latency, name) * scale for row in rows] for name in ("median_s", "p10_s", "p90_s")
        )
        color, (marker, dashes) = colors[granularity], styles[algorithm]
        label = f"S={granularity or '?'}, {algorithm}"
        axes.plot(rates, middle, ls=dashes, color=color, marker=marker, markersize=4, lw=1.2, label=label)
        axes.fill_between(rates, low, high, color=color, alpha=0.15, linewidth=0)
    for algorithm, row in sorted(panel.dense.items()):
        latency = row.latency.median_s * scale
        axes.axhline(latency, color="black", linestyle="--", linewidth=1)
        marker, _ = styles[algorithm]
        axes.plot([1], [latency], "--", color="black", marker=marker, markersize=4, label=f"dense, {algorithm}")
    axes.set(xlim=(0, 1.03), ylim=(0, top_s * scale), xlabel="activation rate r", ylabel=f"latency in {unit}")
    axes.set_title(f"{show_stage(panel.stage)}: {panel.kernel}", fontsize="small")
    axes.grid(alpha=0.3)
    columns = 1 if len(panel.dynamic) + len(panel.dense) <= _MOST_LINES_IN_COLUMN else 2
    axes.legend(framealpha=0.8, edgecolor="none", fontsize="x-small", ncols=columns)


def _top_s(panel: Panel) -> float:
    """Where the axis ends.

    Neither a percentile of a disturbed measurement nor an algorithm that nobody would choose squeezes the lines.
    """
    rows = [*panel.dense.values(), *(row for line in panel.dynamic.values() for row in line.rows.values())]
    median_s, p90_s = (max(getattr(row.latency, name) for row in rows) for name in ("median_s", "p90_s"))
    return min(1.08 * min(p90_s, _HIGHEST_BAND * median_s), _HIGHEST_LINE * _slowest_choice_s(panel))


def _slowest_choice_s(panel: Panel) -> float:
    """The highest latency of the fastest algorithms of each granularity and rate, and of the fastest dense one."""
    fastest: dict[object, float] = {}
    for (granularity, _), line in panel.dynamic.items():
        for rate, row in line.rows.items():
            key = (granularity, rate)
            fastest[key] = min(fastest.get(key, row.latency.median_s), row.latency.median_s)
    dense = min((row.latency.median_s for row in panel.dense.values()), default=0.0)
    return max([*fastest.values(), dense])


def _styles(panel: Panel) -> dict[str, tuple[str, Any]]:
    """A marker and a kind of line for each algorithm."""
    algorithms = sorted({algorithm for _, algorithm in panel.dynamic} | set(panel.dense))
    return {algorithm: _STYLES[number % len(_STYLES)] for number, algorithm in enumerate(algorithms)}


def _kernel(workload: Workload) -> str:
    """The same words for a kernel that computes everywhere and for one that computes at some pixels."""
    if not isinstance(workload, ConvWorkload | WinogradWorkload):
        return workload.name().removeprefix("masked_")
    side = round(workload.taps**0.5)
    step = round((workload.input_rows / workload.map_rows) ** 0.5)
    stride = f", stride {step}" if step > 1 else ""
    add = " + residual" if workload.epilogue.add else ""
    return f"conv{side}x{side} {workload.in_channels}→{workload.out_channels}{add}{stride}"
