"""Time an artifact against other runtimes, side by side in one process, on equal threads.

Every baseline runs on the static counterpart, the same network without its masks, and on the masked network as the
file has it. --against adds other artifacts of the same file, as one that was built before tuning. A ratio is the
artifact's latency over the other's, measured round by round within the same seconds: below 1 the artifact is faster.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lascompile.cli.console import output_console
from lascompile.cli.names import names
from lascompile.errors import UsageError

if TYPE_CHECKING:
    from lascompile.bench import BenchReport, Ratio, Row
    from lascompile.runtime.artifact import Artifact

_STATISTICS = ("min", "median", "p90", "p99", "mean")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile bench`."""
    parser.add_argument("artifact", type=Path, help="folder that `lascompile build` wrote")
    parser.add_argument("--onnx", type=Path, required=True, help="ONNX file that it was built from")
    parser.add_argument(
        "--baselines",
        type=names,
        metavar="NAME,...",
        help="of onnxruntime, openvino, torch (default: all; one that is missing is skipped with a note; '': none)",
    )
    parser.add_argument(
        "--against", type=Path, action="append", default=[], metavar="DIR", help="another artifact; may be repeated"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="of all alike (default: the physical cores)")
    parser.add_argument("--repeats", type=int, default=50, metavar="N", help="timed runs of each (default: 50)")
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help=".npy, .npz or image to run on (default: natural-like images)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of generated images (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the report."""
    from lascompile.bench import BASELINES, BenchConfig, bench
    from lascompile.cli.input_files import read_inputs
    from lascompile.runtime.artifact import load

    if args.seed < 0:
        raise UsageError(f"seed {args.seed}: must not be negative")
    config = BenchConfig(tuple(BASELINES) if args.baselines is None else args.baselines, args.repeats, args.seed)
    artifact = load(args.artifact, args.threads)
    # As they were given: two artifacts may have one name in two folders.
    against: dict[str, Artifact] = {}
    for path in map(str, args.against):
        if path in against:
            raise UsageError(f"--against {path} is given twice")
        against[path] = load(path, artifact.threads)
    chosen: dict[str, Any] = {}
    if args.input is not None:
        chosen = {"inputs": read_inputs(args.input, artifact.manifest.inputs), "source": args.input.name}
    with _progress() as progress:
        task = progress.add_task("", total=1.0)
        report = bench(
            artifact,
            args.onnx,
            config,
            against=against,
            progress=lambda what, share: progress.update(task, description=what, completed=share),
            **chosen,
        )
    if args.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        _print_report(report)
    return 0


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _print_report(report: BenchReport) -> None:
    console = output_console()
    machine = report.machine
    shapes = ", ".join("x".join(map(str, shape)) for shape in report.inputs.values())

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    say(f"{report.onnx}, input {shapes} ({report.source}), {machine['threads']} threads, {machine['cpu']}")
    console.print(_table(report))
    for row in report.rows:
        if row.note:
            say(f"- {row.name}: {row.note}")
    for warning in report.warnings:
        say(f"- warning: {warning}")
    if report.activation_rate is not None:
        rates = report.activation_rates.values()
        say(f"activation rate {report.activation_rate:.2f} (masks from {min(rates):.2f} to {max(rates):.2f})")
    for row in report.others:
        if row.ratio is not None:
            say(f"artifact / {row.name}: {_spread(row.ratio)}")
    if report.ratio is not None:
        say(f"artifact / fastest static baseline ({report.fastest_static}): {_spread(report.ratio)}")


def _spread(ratio: Ratio) -> str:
    return f"{ratio.median:.3f} (half of the rounds: {ratio.q1:.3f} to {ratio.q3:.3f})"


def _table(report: BenchReport) -> Table:
    table = Table("runtime", "network", box=None, header_style="bold")
    for heading in (*_STATISTICS, "CoV", "ratio"):
        table.add_column(heading, justify="right")
    for row in report.rows:
        table.add_row(*_cells(row))
    table.caption = "milliseconds; ratio: artifact / this"
    return table


def _cells(row: Row) -> list[str]:
    latency, runtime = row.latency, escape(row.runtime)
    if latency is None:
        return [runtime, row.network, *["-"] * (len(_STATISTICS) + 1), "-"]
    times = [f"{getattr(latency, f'{name}_s') * 1e3:.2f}" for name in _STATISTICS]
    ratio = "" if row.ratio is None else f"{row.ratio.median:.3f}"
    return [runtime, row.network, *times, f"{latency.variation:.1%}", ratio]
