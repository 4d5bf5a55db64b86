"""Time an artifact against other runtimes, side by side in one process, on equal threads.

Every baseline runs on the static counterpart, the same network without its masks, and on the masked network as the
file has it. --against adds other artifacts of the same file, as one that was built before tuning. A ratio is the
artifact's latency over the other's, measured round by round within the same seconds: below 1 the artifact is faster.
Without --onnx only artifacts are timed. With --clients N, N threads call each of them at the same time.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lascompile.cli import numbers
from lascompile.cli.console import colors, output_console
from lascompile.cli.json_output import to_json
from lascompile.cli.names import names
from lascompile.errors import UsageError

if TYPE_CHECKING:
    from lascompile.bench import BenchReport, Ratio, RuntimeRow
    from lascompile.runtime.artifact import Artifact

_STATISTICS = ("min", "median", "p90", "p99", "mean")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile bench`."""
    parser.add_argument("artifact", type=Path, help="folder that `lascompile build` wrote")
    parser.add_argument("--onnx", type=Path, help="ONNX file that it was built from, to time other runtimes on")
    parser.add_argument(
        "--baselines",
        type=names,
        metavar="NAME,...",
        help="of onnxruntime, openvino, torch (default with --onnx: all; one that is missing is skipped with a note; "
        "'': none)",
    )
    parser.add_argument(
        "--against", type=Path, action="append", default=[], metavar="DIR", help="another artifact; may be repeated"
    )
    parser.add_argument("--threads", type=numbers.threads, metavar="N", help="of all (default: the physical cores)")
    parser.add_argument(
        "--clients", type=int, default=1, metavar="N", help="threads that call at the same time (default: 1)"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--repeats", type=int, default=50, metavar="N", help="timed runs of each, by each client (default: 50)"
    )
    length.add_argument("--duration", type=float, metavar="SECONDS", help="time each for about so long instead")
    parser.add_argument("--warmup", type=int, default=3, metavar="N", help="untimed runs of each before (default: 3)")
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help=".npy, .npz or image to run on (default: natural-like images)"
    )
    parser.add_argument("--seed", type=numbers.seed, default=0, help="of generated images (default: 0)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the report as JSON")
    form.add_argument("--csv", action="store_true", help="print the table as CSV")


def run(args: argparse.Namespace) -> int:
    """Prints the report."""
    from lascompile.bench import BASELINES, BenchConfig, bench
    from lascompile.cli.input_files import read_inputs
    from lascompile.runtime.artifact import load

    if args.seed < 0:
        raise UsageError(f"seed {args.seed}: must not be negative")
    if args.baselines and args.onnx is None:
        raise UsageError("--baselines: other runtimes need the ONNX file; give it with --onnx")
    config = BenchConfig(
        baselines=(tuple(BASELINES) if args.onnx else ()) if args.baselines is None else args.baselines,
        repeats=args.repeats,
        seed=args.seed,
        duration_s=args.duration,
        warm_up=args.warmup,
        clients=args.clients,
    )
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
        print(to_json(report.to_json(), indent=2))
    elif args.csv:
        _print_csv(report)
    else:
        _print_report(report)
    return 0


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True, color_system=colors())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _print_report(report: BenchReport) -> None:
    console = output_console()
    machine = report.machine
    shapes = ", ".join("x".join(map(str, shape)) for shape in report.inputs.values())

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    clients = f", {report.clients} clients" if report.clients > 1 else ""
    say(f"{report.onnx}, input {shapes} ({report.source}), {machine['threads']} threads{clients}, {machine['cpu']}")
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


def _print_csv(report: BenchReport) -> None:
    """A line a row, times in seconds; columns of what did not run are empty."""
    from lascompile.bench import RunTimes

    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = [field.name for field in fields(RunTimes)]
    ratios = ("ratio", "ratio_q1", "ratio_q3")
    writer.writerow(["runtime", "network", "clients", "threads", *names, "throughput_per_s", *ratios, "note"])
    for row in report.rows:
        latency = [getattr(row.latency, name) if row.latency else None for name in names]
        ratio = (row.ratio.median, row.ratio.q1, row.ratio.q3) if row.ratio else (None, None, None)
        start = (row.runtime, row.network, report.clients, report.machine["threads"])
        writer.writerow([*start, *latency, row.throughput_per_s, *ratio, row.note])


def _spread(ratio: Ratio) -> str:
    return f"{ratio.median:.3f} (half of the rounds: {ratio.q1:.3f} to {ratio.q3:.3f})"


def _table(report: BenchReport) -> Table:
    table = Table("runtime", "network", box=None, header_style="bold")
    for heading in (*_STATISTICS, "CoV", "per s", "ratio"):
        table.add_column(heading, justify="right")
    for row in report.rows:
        table.add_row(*_cells(row))
    table.caption = "milliseconds; per s: calls in a second; ratio: artifact / this"
    return table


def _cells(row: RuntimeRow) -> list[str]:
    latency, runtime = row.latency, escape(row.runtime)
    if latency is None:
        return [runtime, row.network, *["-"] * (len(_STATISTICS) + 3)]
    times = [f"{getattr(latency, f'{name}_s') * 1e3:.2f}" for name in _STATISTICS]
    ratio = "" if row.ratio is None else f"{row.ratio.median:.3f}"
    rate = row.throughput_per_s or 0.0
    throughput = f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"
    return [runtime, row.network, *times, f"{latency.variation:.1%}", throughput, ratio]
