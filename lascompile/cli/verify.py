"""Compare an artifact with onnxruntime on the ONNX file it was built from.

Inputs: natural-like images, noise, constants, and images with a NaN; then masks forced on, off, at random and
in blobs. Errors are the largest difference over the range of the output. A decision whose margin is within
float32 rounding may fall either way: such ties are counted, and the rest is compared under equal decisions.
Exit code 0 if all cases pass, else 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lascompile.cli import numbers
from lascompile.cli.console import colors, output_console
from lascompile.cli.json_output import to_json
from lascompile.errors import LascompileError, UsageError

if TYPE_CHECKING:
    from lascompile.verify import CaseResult, VerifyReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile verify`."""
    parser.add_argument("artifact", type=Path, help="folder that `lascompile build` wrote")
    parser.add_argument("--onnx", type=Path, required=True, help="ONNX file that it was built from")
    parser.add_argument("--threads", type=numbers.threads, metavar="N", help="default: the physical cores")
    parser.add_argument("--seed", type=numbers.seed, default=0, help="of inputs and forced masks (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the report; raises where a case failed."""
    from lascompile.runtime.artifact import load
    from lascompile.verify import VerifyConfig, verify

    if args.seed < 0:
        raise UsageError(f"seed {args.seed}: must not be negative")
    with Console(stderr=True, color_system=colors()).status("loading the artifact") as status:
        report = verify(
            load(args.artifact, args.threads),
            args.onnx,
            VerifyConfig(seed=args.seed, threads=args.threads),
            progress=status.update,
        )
    if args.json:
        print(to_json(report.to_json(), indent=2))
    else:
        _print_report(report)
    if not report.passed:
        failures = report.failures()
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise LascompileError(f"{args.artifact} differs from {args.onnx}: {failures[0]}{more}")
    return 0


def _print_report(report: VerifyReport) -> None:
    console = output_console()
    table = Table("case", "", box=None, header_style="bold")
    for heading in ("rate", "largest error", "smallest margin", "ties"):
        table.add_column(heading, justify="right")
    for case in report.cases:
        table.add_row(*_row(case))
    console.print(table)
    for line in (*report.failures(), *report.notes):
        console.print(f"- {line}", markup=False, soft_wrap=True)
    console.print(_summary(report), markup=False, soft_wrap=True)


def _row(case: CaseResult) -> list[str]:
    return [
        case.name,
        "[green]ok[/]" if case.passed else "[bold red]differs[/]",
        _show(case.activation_rate, ".2f"),
        _show(case.error, ".1e"),
        _show(case.margin, ".1e"),
        str(len(case.ties)) if case.margin is not None else "",
    ]


def _summary(report: VerifyReport) -> str:
    passed = sum(case.passed for case in report.cases)
    parts = [f"{passed} of {len(report.cases)} cases agree with onnxruntime"]
    if report.error is not None:
        parts.append(f"largest error {report.error:.1e} of the output's range (allowed: {report.tolerance:.0e})")
    if report.margin is not None:
        parts.append(f"smallest decision margin {report.margin:.1e} of the logits")
    if report.ties:
        parts.append(f"{report.ties} ties (margin within {report.tie_tolerance:.1e}: either decision is right)")
    return "; ".join(parts)


def _show(number: float | None, form: str) -> str:
    return "" if number is None else f"{number:{form}}"
