"""Write a LASNet of the zoo, its maskers calibrated, as an ONNX model.

Without a checkpoint the weights are random, but batch norms and maskers are fitted on images, so that
activations keep their scale and masks follow what is in the image. Sizes are height x width in pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lascompile.cli import numbers
from lascompile.cli.console import colors, output_console
from lascompile.cli.json_output import to_json
from lascompile.errors import UsageError
from lascompile.files import check_file_place

if TYPE_CHECKING:
    from lascompile.models.resnet import ResNet

_MEBIBYTE = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile export`."""
    parser.add_argument("architecture", help="such as lasnet_resnet50; a wrong name lists the zoo")
    parser.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write")
    parser.add_argument(
        "--granularity",
        type=_granularity,
        metavar="S,S,...",
        help="pixels along the side of a patch, for each stage or for each block (default: 4,4,2,1)",
    )
    parser.add_argument("--input-size", type=_size, default=(224, 224), metavar="N|HxW", help="default: 224")
    parser.add_argument("--batch", type=numbers.images, default=1, metavar="N", help="images a call (default: 1)")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights of a LASNet or a ResNet")
    parser.add_argument(
        "--activation-rate",
        type=float,
        metavar="R",
        help="share of each block's positions to keep active, above 0 and at most 1 "
        "(default: 0.5, or what the checkpoint's maskers were trained for)",
    )
    parser.add_argument("--calibration", type=Path, metavar="DIR", help="images to calibrate on (default: generated)")
    parser.add_argument("--mask-channel-group", type=int, default=1, metavar="G", help="masks of a block (default: 1)")
    parser.add_argument("--seed", type=numbers.seed, default=0, help="of random weights and images (default: 0)")
    parser.add_argument(
        "--static", action="store_true", help="the same network without maskers; their options are unused"
    )
    parser.add_argument(
        "--exporter", choices=("dynamo", "torchscript"), default="dynamo", help="of PyTorch (default: dynamo)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Makes the model, writes the file, prints a summary."""
    from lascompile.models.onnx_export import export
    from lascompile.models.preparation import calibration_images, check_rate, prepare
    from lascompile.models.zoo import create_model

    check_file_place("output", args.output)
    check_rate(args.activation_rate)
    _check_counts(args)
    with Console(stderr=True, color_system=colors()).status("making the network") as status:
        model = create_model(
            args.architecture,
            granularity=args.granularity,
            input_size=args.input_size,
            mask_channel_group=args.mask_channel_group,
            static=args.static,
            seed=args.seed,
        )
        _check_static(args, model)
        status.update("reading calibration images" if args.calibration else "generating calibration images")
        images = calibration_images(args.input_size, args.seed, args.calibration)
        status.update("calibrating")
        rates = prepare(model, images, checkpoint=args.checkpoint, activation_rate=args.activation_rate, seed=args.seed)
        status.update(f"exporting with {args.exporter}")
        export(model, args.output, args.input_size, args.batch, args.exporter)
    summary = _summary(args, model, rates, len(images))
    if args.json:
        print(to_json(summary, indent=2))
    else:
        _print_summary(summary)
    return 0


def _granularity(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"granularity {text!r}: must be whole numbers and commas, as in 4,4,2,1") from None


def _size(text: str) -> tuple[int, int]:
    parts = text.split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"input size {text!r}: must be N or HxW in pixels, as in 224 or 224x320")
    return int(parts[0]), int(parts[-1])


def _check_counts(args: argparse.Namespace) -> None:
    if args.batch < 1:
        raise UsageError(f"batch {args.batch}: must be at least 1")
    if args.seed < 0:
        raise UsageError(f"seed {args.seed}: must not be negative")


def _check_static(args: argparse.Namespace, model: ResNet) -> None:
    """A static architecture has no use for a rate; with --static the user has said so."""
    if args.activation_rate is not None and not args.static and model.config.granularity is None:
        raise UsageError(f"{args.architecture} has no maskers to calibrate: use lasnet_{args.architecture}")


def _summary(args: argparse.Namespace, model: ResNet, rates: dict[str, float], image_count: int) -> dict[str, Any]:
    """All that is printed, in the form of `--json`."""
    names = model.config.block_names
    granularity = dict(zip(names, model.config.block_granularity, strict=True))
    return {
        "schema": 1,
        "onnx": str(args.output),
        "bytes": args.output.stat().st_size,
        "architecture": args.architecture,
        "static": not rates,
        "exporter": args.exporter,
        "input": [args.batch, 3, *args.input_size],
        "mask_channel_group": args.mask_channel_group,
        "seed": args.seed,
        "checkpoint": args.checkpoint and str(args.checkpoint),
        "calibration": {"source": str(args.calibration or "generated"), "images": image_count},
        "blocks": [
            {"name": name, "granularity": granularity[name], "activation_rate": rates.get(name)} for name in names
        ],
    }


def _print_summary(summary: dict[str, Any]) -> None:
    console = output_console()
    kind = "static" if summary["static"] else "with maskers"
    shape = "x".join(map(str, summary["input"]))
    console.print(
        f"{summary['onnx']}: {summary['architecture']}, {kind}, input {shape}, "
        f"{summary['bytes'] / _MEBIBYTE:.1f} MiB, {summary['exporter']} exporter",
        markup=False,
        soft_wrap=True,
    )
    if not summary["static"]:
        source = summary["calibration"]
        text = f"activation rates on {source['images']} images ({source['source']}):"
        console.print(text, markup=False, soft_wrap=True)
        console.print(_rate_table(summary["blocks"]))


def _rate_table(blocks: list[dict[str, Any]]) -> Table:
    """A row a stage: its granularity, its mean rate, and that of each block."""
    table = Table("stage", "S", "rate", "blocks")
    stages: dict[str, list[dict[str, Any]]] = {}
    for block in blocks:
        stages.setdefault(block["name"].partition(".")[0], []).append(block)
    for name, members in stages.items():
        granularity = dict.fromkeys(str(block["granularity"]) for block in members)
        rates = [block["activation_rate"] for block in members]
        table.add_row(
            name, ",".join(granularity), f"{sum(rates) / len(rates):.2f}", " ".join(f"{r:.2f}" for r in rates)
        )
    return table
