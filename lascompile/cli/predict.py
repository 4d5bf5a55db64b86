"""Say what a network will cost on a device, before it is trained and without the device.

Each block is taken apart into the kernels that a build makes of it, and each kernel is predicted: by what was measured
on the device, where there is anything, else by its data sheet alone. The static network stands beside it. «low» and
«high» are the bounds between which nine of ten kernels lie.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lascompile.cli.console import output_console
from lascompile.cli.json_output import to_json
from lascompile.cli.predicted_network import add_arguments as add_shared_arguments
from lascompile.cli.predicted_network import read_network, read_predictor
from lascompile.errors import UsageError

if TYPE_CHECKING:
    from lascompile.latency.network import BlockLatency, NetworkPredictor

SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile predict`."""
    add_shared_arguments(parser)
    parser.add_argument("--granularity", metavar="S,S,...", help="for each stage or each block (default: 4,4,2,1)")
    parser.add_argument(
        "--activation-rate", default="0.5", metavar="R,...", help="one for all blocks, or one a block (default: 0.5)"
    )
    parser.add_argument("--kernels", action="store_true", help="show every kernel of every block")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Predict and print."""
    granularity = None if args.granularity is None else tuple(int(s) for s in _numbers("granularity", args.granularity))
    config = read_network(args, granularity)
    rates = _numbers("activation rate", args.activation_rate)
    predictor = read_predictor(args)
    blocks = predictor.network(config, rates[0] if len(rates) == 1 else rates, args.batch)
    static = predictor.network(replace(config, granularity=None), 1.0, args.batch)
    report = _report(predictor, blocks, static, args)
    if args.json:
        print(to_json(report, indent=1))
    else:
        _print(blocks, static, report, args.kernels)
    return 0


def _numbers(what: str, text: str) -> list[float]:
    try:
        return [float(part) if what != "granularity" else int(part) for part in text.split(",")]
    except ValueError:
        example = "4,4,2,1" if what == "granularity" else "0.5, or 0.4,0.5,…"
        raise UsageError(f"{what} {text!r}: must be numbers and commas, as in {example}") from None


def _report(
    predictor: NetworkPredictor,
    blocks: Sequence[BlockLatency],
    static: Sequence[BlockLatency],
    args: argparse.Namespace,
) -> dict[str, Any]:
    """All that is printed, in the form of `--json`; latencies in seconds for the whole batch."""
    from lascompile.latency.network import PARTS

    def total(part: Sequence[BlockLatency]) -> float:
        return sum(block.latency_s for block in part)

    return {
        "schema": SCHEMA,
        "architecture": args.arch,
        "device": predictor.device.sheet.name,
        "batch": args.batch,
        "sources": sorted({chosen.prediction.source for block in blocks for chosen in block.kernels}),
        "latency_s": total(blocks),
        "low_s": sum(block.low_s for block in blocks),
        "high_s": sum(block.high_s for block in blocks),
        "static_s": total(static),
        "blocks": [
            {
                "name": block.name,
                "granularity": block.shape.granularity if block.shape is not None else None,
                "activation_rate": block.rate,
                "latency_s": block.latency_s,
                "low_s": block.low_s,
                "high_s": block.high_s,
                "static_s": without.latency_s,
                "parts_s": {part: block.part_s(part) for part in PARTS},
                "kernels": [
                    {
                        "name": chosen.kernel.name,
                        "workload": chosen.kernel.forms[0].name(),
                        "algorithm": chosen.algorithm or None,
                        "count": chosen.count,
                        "latency_s": chosen.prediction.latency_s,
                        "low_s": chosen.prediction.low_s,
                        "high_s": chosen.prediction.high_s,
                        "source": chosen.prediction.source,
                        "extrapolates": chosen.prediction.extrapolates,
                    }
                    for chosen in block.kernels
                ],
            }
            for block, without in zip(blocks, static, strict=True)
        ],
    }


def _print(
    blocks: Sequence[BlockLatency], static: Sequence[BlockLatency], report: dict[str, Any], kernels: bool
) -> None:
    from rich.table import Table

    from lascompile.latency.network import PARTS

    shown = [part for part in PARTS if any(block.part_s(part) for block in blocks)]
    table = Table("block", box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for heading in ("S", "rate", *shown, "ms", "static", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for block, without in zip(blocks, static, strict=True):
        masked = block.shape is not None and block.shape.granularity is not None
        label = [str(block.shape.granularity), f"{block.rate:.2f}"] if masked and block.shape else ["", ""]
        table.add_row(block.name, *label, *_cells(block, without, shown))
        for chosen in block.kernels if kernels else ():
            name = f"  {chosen.kernel.name} {chosen.algorithm}".rstrip()
            table.add_row(name, *[""] * (2 + len(shown)), _ms(chosen.prediction.latency_s))
    console = output_console()
    console.print(table)
    latency, static_s = report["latency_s"], report["static_s"]
    unit = "an image" if report["batch"] == 1 else f"{report['batch']} images"
    print(
        f"\n{report['architecture']} on {report['device']}: {_ms(latency)} ms {unit} "
        f"({_ms(report['low_s'])} to {_ms(report['high_s'])}); without masks {_ms(static_s)} ms, "
        f"ratio {latency / static_s:.2f}"
    )
    print(f"predicted from: {', '.join(report['sources'])}")


def _cells(block: BlockLatency, static: BlockLatency, parts: Sequence[str]) -> list[str]:
    by_part = [_ms(seconds) if (seconds := block.part_s(part)) else "" for part in parts]
    return [*by_part, _ms(block.latency_s), _ms(static.latency_s), f"{block.latency_s / static.latency_s:.2f}"]


def _ms(seconds: float) -> str:
    """Three digits, without a power of ten."""
    number = 1e3 * seconds
    return f"{number:.3f}" if number < 1 else f"{number:.2f}" if number < 100 else f"{number:.0f}"
