"""Run an artifact on an input: an .npy or .npz file, or an image.

An image is resized, centre-cropped and normalised as for ImageNet. Without --input, images with the statistics of
photographs are generated. --profile says where the time goes, block by block, beside the operations that the masks
leave over; --masks draws what was skipped over the image.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.cli.console import output_console
from lascompile.errors import UsageError
from lascompile.files import check_file_place, writing

if TYPE_CHECKING:
    import numpy as np

    from lascompile.manifest import Manifest
    from lascompile.report.run_report import RunReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile run`."""
    parser.add_argument("artifact", type=Path, help="folder that `lascompile build` wrote")
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help=".npy, .npz by input name, or an image (default: generated)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the outputs by name, as .npz")
    parser.add_argument("--profile", action="store_true", help="print the time and activation rate of every block")
    parser.add_argument("--repeats", type=int, default=10, metavar="K", help="inferences to profile (default: 10)")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="draw every mask over the image, as .png files")
    parser.add_argument("--threads", type=int, metavar="N", help="default: the physical cores")
    parser.add_argument("--seed", type=int, default=0, help="of a generated input (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the artifact, writes what was asked for, and prints a summary."""
    _check_counts(args)
    _check_places(args)

    from lascompile.report.block_times import time_blocks
    from lascompile.report.mask_files import write_masks
    from lascompile.report.run_report import RunReport
    from lascompile.runtime.artifact import load

    artifact = load(args.artifact, args.threads)
    manifest = artifact.manifest
    inputs, source = _inputs(args, manifest)
    outputs, decisions = artifact.run_with_masks(*inputs)
    pixels = artifact.active_pixels(decisions)
    times = time_blocks(artifact, inputs, args.repeats) if args.profile else None
    pictures: list[Path] = []
    if args.output is not None:
        _write_outputs(args.output, manifest, outputs)
    if args.masks is not None:
        args.masks.mkdir(exist_ok=True)
        pictures = write_masks(args.masks, manifest.masks, pixels, inputs)
    report = RunReport(args.artifact, manifest, source, artifact.threads, outputs, pixels, times, args.output, pictures)
    if args.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        _print(report)
    return 0


def _check_counts(args: argparse.Namespace) -> None:
    if args.repeats < 1:
        raise UsageError(f"repeats {args.repeats}: must be at least 1")
    if args.seed < 0:
        raise UsageError(f"seed {args.seed}: must not be negative")


def _check_places(args: argparse.Namespace) -> None:
    """What can be known before the work about places to write to."""
    output, masks = args.output, args.masks
    if output is not None:
        check_file_place("output", output, (".npz",))
    if masks is not None and masks.exists() and not masks.is_dir():
        raise UsageError(f"masks {masks}: is a file; give a folder")
    if masks is not None and not masks.resolve().parent.is_dir():
        raise UsageError(f"masks {masks}: {masks.parent} is not a folder; make it first")


def _inputs(args: argparse.Namespace, manifest: Manifest) -> tuple[list[np.ndarray], str]:
    """The arrays, and where they come from."""
    if args.input is None:
        from lascompile.sample_inputs import natural_inputs

        return natural_inputs(manifest.inputs, args.seed), f"a generated input (seed {args.seed})"
    from lascompile.cli.input_files import read_inputs

    return read_inputs(args.input, manifest.inputs), str(args.input)


def _write_outputs(path: Path, manifest: Manifest, outputs: list[np.ndarray]) -> None:
    """Write the outputs by name, as `numpy.savez` does; that has no room for every name that ONNX allows."""
    from numpy.lib import format as npy

    with writing(path) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for spec, output in zip(manifest.outputs, outputs, strict=True):
            with archive.open(f"{spec.name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, output, allow_pickle=False)


def _print(report: RunReport) -> None:
    console = output_console()
    for line in report.lines():
        console.print(line, markup=False, soft_wrap=True)
    if report.times is None:
        return
    from lascompile.report.time_tables import block_table, footnotes, kernel_table

    for table in (block_table(report.times), kernel_table(report.times)):
        console.print()
        console.print(table)
    console.print()
    for note in footnotes(report.times):
        console.print(f"- {note}", markup=False, soft_wrap=True)
