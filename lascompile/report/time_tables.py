"""A `TimeReport` as tables for a terminal."""

from __future__ import annotations

from rich.table import Table

from lascompile.report.block_times import BlockTime, TimeReport
from lascompile.runtime.profile import PARTS

_LONGEST_LABEL = 48
"""Characters of a kernel's name: those that TVM generates name every operator that they fuse."""
_LEGEND = (
    "rate: share of the pixels that the mask switches on; halo: share that the kernels before it compute, with what "
    "their readers' windows reach; FLOPs: operations done over all of them; GFLOP/s: operations done over ms",
    "milliseconds are medians of one inference; scatter: the last kernel of a branch, which adds into the residual; "
    "other: what no mask rules, as shortcuts, stem and head",
)


def block_table(report: TimeReport) -> Table:
    """A row a block: what its mask asks for, and the milliseconds of each part. Fits into 80 columns below a second."""
    table = Table("block", box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    parts = [part for part in PARTS if report.total.latency_s[part]]
    for heading in ("S", "rate", "halo", "FLOPs", *parts, "ms", "share", "GFLOP/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(row.name or "outside", *_cells(row, parts, report.kernels_s))
    table.add_section()
    table.add_row("total", *_cells(report.total, parts, report.kernels_s), style="bold")
    return table


def kernel_table(report: TimeReport) -> Table:
    """A row a kind of kernel, the slowest first."""
    table = Table("kernel", box=None, header_style="bold", pad_edge=False)
    for heading in ("calls", "ms", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kernel in report.kernels:
        share = _percent(kernel.latency_s, report.kernels_s)
        table.add_row(_shorten(kernel.label), str(kernel.calls), _ms(kernel.latency_s), share)
    return table


def footnotes(report: TimeReport) -> list[str]:
    """What the columns mean, and what the times leave out."""
    return [
        *_LEGEND,
        f"one inference takes {_ms(report.latency_s)} ms without the profiler and {_ms(report.profiled_s)} ms under it "
        f"({report.repeats} each, {report.threads} threads); the table adds up the time inside kernels, and what the "
        "profiler takes passes between them",
    ]


def show_granularity(granularity: tuple[int, int] | None) -> str:
    """`4` for square patches, else `4x7`; empty without a mask."""
    if granularity is None:
        return ""
    height, width = granularity
    return str(height) if height == width else f"{height}x{width}"


def _cells(row: BlockTime, parts: list[str], kernels_s: float) -> list[str]:
    speed = row.flops_per_s
    return [
        show_granularity(row.granularity),
        _ratio(row.activation_rate),
        _ratio(row.halo_rate),
        _ratio(row.flops_ratio),
        *(_ms(row.latency_s[part]) if row.latency_s[part] else "" for part in parts),
        _ms(row.total_s),
        _percent(row.total_s, kernels_s),
        f"{speed / 1e9:.0f}" if speed is not None else "",
    ]


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:.2f}" if milliseconds < 99.995 else f"{milliseconds:.1f}"


def _ratio(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else ""


def _shorten(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
