"""Compile an ONNX model into an artifact: a folder with a library, its weights and a manifest.

Blocks whose masks are recognised are computed only where their masks are on; `inspect` says which, and why others are
not. An artifact that already stands at the destination is replaced when the new one is whole.

Where `tune` has left records of a convolution's kernel, for this target and number of threads, they say how it is
computed, and what the latency table knows decides between algorithms. `inspect --convolutions` shows which were used.

With --verify, each block and the network are compared with onnxruntime before that. Convolutions whose error is too
large are computed directly instead; exit code 1 if the network differs even so.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.cli import numbers
from lascompile.cli.console import colors, output_console
from lascompile.cli.json_output import to_json
from lascompile.cli.measured_folder import add_folder_argument
from lascompile.cli.shapes import add_shape_argument, parse_shapes
from lascompile.cli.target_arguments import add_target_arguments, target_text

if TYPE_CHECKING:
    from lascompile.manifest import Manifest

_LINE_EVERY_S = 10.0
"""Where no bar can be drawn, who waits longer is told what goes on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `build`."""
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("-o", "--output", type=Path, help="the artifact folder (default: MODEL.lasc)")
    add_target_arguments(parser)
    parser.add_argument("--mcpu", default="native", help="the CPU by LLVM's name (default: this one)")
    parser.add_argument("--threads", type=numbers.threads, help="threads to schedule for (default: physical cores)")
    parser.add_argument(
        "--numerics",
        choices=("fast", "exact"),
        default="fast",
        help="exact keeps to float32 products; fast may take them apart, with relative errors of about 1e-5 "
        "(default: fast)",
    )
    parser.add_argument("--plan", type=Path, help="a JSON file that says which algorithm computes which convolution")
    records = parser.add_mutually_exclusive_group()
    add_folder_argument(records)
    records.add_argument("--no-records", action="store_true", help="use neither records nor the latency table")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare with onnxruntime, block by block; where errors are too large, fall back to direct convolutions",
    )
    parser.add_argument("--require-dynamic", action="store_true", help="fail if a block stays dense")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_shape_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Build, and say what came out."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from lascompile.compile import build_artifact
    from lascompile.manifest import Manifest

    console = Console(stderr=True, color_system=colors())
    columns = (TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)
        said = time.monotonic()

        def advance(phase: str, share: float) -> None:
            nonlocal said
            bar.update(task, description=phase, completed=share)
            if not console.is_terminal and time.monotonic() - said >= _LINE_EVERY_S:
                said = time.monotonic()
                print(f"lascompile: {phase} ({share:.0%})", file=sys.stderr, flush=True)

        folder = build_artifact(
            args.model,
            args.output,
            target=target_text(args),
            mcpu=args.mcpu,
            threads=args.threads,
            numerics=args.numerics,
            plan=args.plan,
            records=args.records,
            use_records=not args.no_records,
            require_dynamic=args.require_dynamic,
            shapes=parse_shapes(args.shape),
            verify=args.verify,
            progress=advance,
        )
    manifest = Manifest.read(folder)
    dynamic = sum(bool(block["dynamic"]) for block in manifest.blocks)
    size = sum(file.stat().st_size for file in folder.iterdir())
    if args.json:
        counts = {"blocks": len(manifest.blocks), "dynamic": dynamic}
        found = {"verification": manifest.verification}
        print(to_json({"schema": 1, "artifact": str(folder), "bytes": size, **counts, **found}))
    else:
        if manifest.verification is not None:
            _print_verification(manifest)
        print(f"{folder}: {dynamic} of {len(manifest.blocks)} blocks dynamic, {size / 1e6:.1f} MB")
    return 0


def _print_verification(manifest: Manifest) -> None:
    from lascompile.report.verification_table import fallback_lines, network_line, verification_table

    assert manifest.verification is not None
    console = output_console()
    console.print(verification_table(manifest.verification, manifest.blocks))
    for line in fallback_lines(manifest.verification):
        console.print(line, style="yellow", markup=False, soft_wrap=True)
    console.print(network_line(manifest.verification), markup=False, soft_wrap=True)
