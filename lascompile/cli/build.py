"""Compile an ONNX model into an artifact: a folder with a library, its weights and a manifest.

Blocks whose masks are recognised are computed only where their masks are on; `inspect` says which, and why others are
not. An artifact that already stands at the destination is replaced when the new one is whole.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lascompile.cli.shapes import add_shape_argument, parse_shapes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `build`."""
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("-o", "--output", type=Path, help="the artifact folder (default: MODEL.lasc)")
    parser.add_argument("--target", default="llvm", help="llvm, llvm with options, or a JSON target (default: llvm)")
    parser.add_argument("--mcpu", default="native", help="the CPU by LLVM's name (default: this one)")
    parser.add_argument("--threads", type=int, help="threads to schedule for (default: physical cores)")
    parser.add_argument("--require-dynamic", action="store_true", help="fail if a block stays dense")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_shape_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Build, and say what came out."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from lascompile.compile import build_artifact
    from lascompile.manifest import Manifest

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)
        folder = build_artifact(
            args.model,
            args.output,
            target=args.target,
            mcpu=args.mcpu,
            threads=args.threads,
            require_dynamic=args.require_dynamic,
            shapes=parse_shapes(args.shape),
            progress=lambda phase, share: bar.update(task, description=phase, completed=share),
        )
    manifest = Manifest.read(folder)
    dynamic = sum(bool(block["dynamic"]) for block in manifest.blocks)
    size = sum(file.stat().st_size for file in folder.iterdir())
    if args.json:
        counts = {"blocks": len(manifest.blocks), "dynamic": dynamic}
        print(json.dumps({"schema": 1, "artifact": str(folder), "bytes": size, **counts}))
    else:
        print(f"{folder}: {dynamic} of {len(manifest.blocks)} blocks dynamic, {size / 1e6:.1f} MB")
    return 0
