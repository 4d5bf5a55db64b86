"""Find the granularity of each stage with the lowest predicted latency on a device.

All divisors of each stage's map are tried, each with the form and the algorithm that are predicted to be fastest. What
a coarse granularity costs in accuracy is for training to say; the table shows what it buys. `-o FILE.html` writes the
curves over S and over the activation rate, and the front of operations against latency, as one page.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.cli.console import output_console
from lascompile.cli.json_output import to_json
from lascompile.cli.predicted_network import add_arguments as add_shared_arguments
from lascompile.cli.predicted_network import read_network, read_predictor
from lascompile.files import check_file_place

if TYPE_CHECKING:
    from lascompile.search import Design, StageCurve

SCHEMA = 1
RATES = (0.1, 0.3, 0.5, 0.7, 1.0)
_TOP = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile search`."""
    add_shared_arguments(parser)
    parser.add_argument("--activation-rate", type=float, default=0.5, metavar="R", help="of all masks (default: 0.5)")
    parser.add_argument("--top", type=int, default=_TOP, metavar="K", help=f"designs to show (default: {_TOP})")
    parser.add_argument("--layer-skipping", action="store_true", help="also the whole map as a patch")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="a page with plots, .html")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Search, print, and draw."""
    from lascompile.search import search, stage_curves

    if args.output is not None:
        check_file_place("-o", args.output, (".html",))
    # Any granularity will do, and this one fits every map.
    config = read_network(args, (1, 1, 1, 1))
    predictor = read_predictor(args)
    settings = {"batch": args.batch, "layer_skipping": args.layer_skipping}
    designs = search(predictor, config, args.activation_rate, top=args.top, **settings)
    curves = stage_curves(predictor, config, sorted({*RATES, args.activation_rate}), **settings)
    if args.output is not None:
        from lascompile.report.search_page import write_page

        every = search(predictor, config, args.activation_rate, top=10**6, **settings)
        rates = sorted({*RATES, args.activation_rate})
        title = f"{args.arch} on {predictor.device.sheet.name}"
        write_page(args.output, title, curves, rates, every, args.activation_rate)
    if args.json:
        print(to_json(_report(args, predictor.device.sheet.name, designs, curves), indent=1))
    else:
        _print(args, designs, curves)
    return 0


def _report(
    args: argparse.Namespace, device: str, designs: Sequence[Design], curves: Sequence[StageCurve]
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "architecture": args.arch,
        "device": device,
        "activation_rate": args.activation_rate,
        "rates": sorted({*RATES, args.activation_rate}),
        "designs": [vars(design) | {"granularity": list(design.granularity)} for design in designs],
        "curves": [vars(curve) | {"latency_s": list(curve.latency_s), "flops": list(curve.flops)} for curve in curves],
    }


def _print(args: argparse.Namespace, designs: Sequence[Design], curves: Sequence[StageCurve]) -> None:
    from rich.table import Table

    rates = sorted({*RATES, args.activation_rate})
    console = output_console()
    table = Table("stage", "S", box=None, header_style="bold", pad_edge=False)
    for rate in rates:
        table.add_column(f"r={rate:g}", justify="right")
    for curve in curves:
        ratios = [f"{latency / curve.static_s:.2f}" for latency in curve.latency_s]
        table.add_row(f"layer{curve.stage + 1}", str(curve.granularity), *ratios)
    console.print("latency of a stage relative to the stage without masks", style="bold")
    console.print(table)
    print()
    best = Table("granularity", box=None, header_style="bold", pad_edge=False)
    for heading in ("ms", "GFLOPs"):
        best.add_column(heading, justify="right")
    for design in designs:
        name = ",".join(map(str, design.granularity))
        best.add_row(name, f"{1e3 * design.latency_s:.2f}", f"{1e-9 * design.flops:.2f}")
    console.print(f"fastest at r={args.activation_rate:g}", style="bold")
    console.print(best)
    if args.output is not None:
        print(f"\nplots: {args.output}")
