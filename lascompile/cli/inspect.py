"""Say what a model skips: for each block, where each convolution is computed, and why others are computed everywhere.

Operations are counted for one image: all of them, and those expected at the activation rate, the share of patches
that are active. On an artifact, says what it was built from, for and with.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from lascompile.cli.console import output_console
from lascompile.cli.json_output import to_json
from lascompile.cli.shapes import add_shape_argument, parse_shapes
from lascompile.errors import UsageError

if TYPE_CHECKING:
    from lascompile.manifest import Manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `inspect`."""
    parser.add_argument("model", type=Path, help="an ONNX file, or an artifact folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--convolutions",
        action="store_true",
        help="show every convolution, and in an artifact what computes it and why",
    )
    parser.add_argument(
        "--activation-rate", type=float, metavar="R", help="share of active patches to count at (default: 0.5)"
    )
    parser.add_argument("--require-dynamic", action="store_true", help="fail, with exit code 3, if a block stays dense")
    add_shape_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Inspect an ONNX file or an artifact."""
    if args.model.is_dir():
        _inspect_artifact(args)
    else:
        _inspect_model(args)
    return 0


def _inspect_model(args: argparse.Namespace) -> None:
    from lascompile.report.inspection import inspect_model, require_dynamic

    inspection = inspect_model(args.model, parse_shapes(args.shape), _activation_rate(args.activation_rate))
    if args.json:
        print(to_json(inspection.to_dict(), indent=1))
    else:
        console = output_console()
        tensors = " → ".join(_tensors(side) for side in (inspection.inputs, inspection.outputs))
        console.print(f"{args.model}: {tensors}", highlight=False, markup=False)
        _print_blocks(console, inspection.blocks, inspection.flops, args.convolutions)
        for name, nodes in inspection.unsupported.items():
            console.print(f"Not supported, so that build refuses the model: {name} ({', '.join(nodes)})", markup=False)
    if args.require_dynamic:
        require_dynamic(inspection.blocks)


def _inspect_artifact(args: argparse.Namespace) -> None:
    from lascompile.manifest import Manifest, check_files
    from lascompile.report.inspection import require_dynamic

    if args.activation_rate is not None or args.shape:
        option = "--shape" if args.shape else "--activation-rate"
        raise UsageError(f"{option} is for ONNX files: the artifact {args.model} was counted when it was built")
    manifest = Manifest.read(args.model)
    missing = [str(args.model / name) for name in manifest.files if not (args.model / name).is_file()]
    if missing:
        # Whoever was sent the manifest alone may read it.
        lacks = f"without {' and '.join(missing)} the artifact cannot run; build it again"
        print(f"lascompile: warning: {lacks}", file=sys.stderr)
    else:
        check_files(args.model, manifest)
    if args.json:
        print(to_json({"kind": "artifact", **json.loads(manifest.to_json())}, indent=1))
    else:
        console = output_console()
        _print_artifact(console, args.model, manifest)
        _print_blocks(console, manifest.blocks, manifest.flops, args.convolutions, _errors(manifest))
        if args.convolutions:
            _print_algorithms(console, manifest)
    if args.require_dynamic:
        require_dynamic(manifest.blocks)


def _activation_rate(rate: float | None) -> float:
    from lascompile.workload import NOMINAL_RATE

    if rate is None:
        return NOMINAL_RATE
    if not 0 <= rate <= 1:
        raise UsageError(f"--activation-rate {rate:g}: a share of the patches is needed, between 0 and 1")
    return rate


def _print_blocks(
    console: Console,
    blocks: Sequence[Mapping[str, Any]],
    flops: Mapping[str, Any],
    with_convolutions: bool,
    errors: Mapping[str, float | None] | None = None,
) -> None:
    from lascompile.report.block_table import block_table, dense_reasons, summary

    if blocks:
        console.print()
        console.print(block_table(blocks, with_convolutions, errors))
    reasons = dense_reasons(blocks)
    if reasons:
        console.print("\nComputed everywhere:", style="bold")
        for reason in reasons:
            console.print(reason)
    console.print()
    for line in summary(blocks, flops):
        console.print(line, markup=False)


def _print_artifact(console: Console, folder: Path, manifest: Manifest) -> None:
    from lascompile.report.verification_table import fallback_lines, network_line

    target = manifest.target
    tensors = [_tensors({tensor.name: tensor.shape for tensor in side}) for side in (manifest.inputs, manifest.outputs)]
    files = ", ".join(f"{name} ({_size(folder / name)})" for name in manifest.files)
    built_with = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    facts = {
        "artifact": f"{folder}: {' → '.join(tensors)}",
        "built from": f"{manifest.onnx['name']} (SHA-256 {manifest.onnx['sha256'][:16]}…)",
        "built with": built_with,
        "built for": f"{target['kind']}, {_machine(target)}, {manifest.threads} thread{'s' * (manifest.threads != 1)}",
        "files": files,
        "verified": network_line(manifest.verification) if manifest.verification else "not by build (see --verify)",
    }
    for name, fact in facts.items():
        console.print(f"{name + ':':12}{fact}", markup=False)
    for line in fallback_lines(manifest.verification) if manifest.verification else ():
        console.print(line, style="yellow", markup=False)


def _errors(manifest: Manifest) -> dict[str, float | None] | None:
    """The error of each block, if they are known."""
    if manifest.verification is None:
        return None
    return {block["name"]: block["error"] for block in manifest.verification["blocks"]}


def _print_algorithms(console: Console, manifest: Manifest) -> None:
    from lascompile.report.algorithm_table import LEGEND, algorithm_table, record_lines

    console.print()
    console.print(algorithm_table(manifest.steps))
    console.print(LEGEND, markup=False)
    for line in record_lines(manifest.steps):
        console.print(line, markup=False, soft_wrap=True)


def _machine(target: Mapping[str, Any]) -> str:
    if "arch" in target:
        return str(target["arch"])
    return f"{target['mcpu']} ({target['mtriple']}, vectors of {target['vector_bits']} bits)"


def _tensors(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name} [{', '.join(map(str, shape))}]" for name, shape in shapes.items())


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB" if path.is_file() else "missing"
