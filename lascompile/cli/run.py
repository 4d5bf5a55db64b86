"""Run an artifact on an input: an .npy or .npz file, an image, several of them, or a folder of images.

Images are resized, centre-cropped and normalised, as for ImageNet unless --mean, --std and --resize say otherwise. One
image fills a batch; of several, each batch takes as many as it holds. Without --input, images with the statistics of
photographs are generated. --profile says where the time goes, block by block, beside the operations that the masks
leave over; --masks draws what was skipped over the image.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.cli import numbers
from lascompile.cli.console import output_console
from lascompile.cli.image_arguments import add_image_arguments
from lascompile.cli.json_output import to_json
from lascompile.errors import UsageError
from lascompile.files import check_file_place, writing

if TYPE_CHECKING:
    import numpy as np

    from lascompile.cli.given_input import Given
    from lascompile.manifest import Manifest
    from lascompile.report.run_report import RunReport
    from lascompile.runtime.artifact import Artifact

TOP = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile run`."""
    parser.add_argument("artifact", type=Path, help="folder that `lascompile build` wrote")
    parser.add_argument(
        "--input",
        type=Path,
        nargs="+",
        metavar="FILE",
        help=".npy, .npz by input name, images, or a folder of images (default: generated)",
    )
    add_image_arguments(parser)
    parser.add_argument("--labels", type=Path, metavar="FILE", help="names of the classes, a line each")
    parser.add_argument("--top", type=int, default=TOP, metavar="K", help=f"classes to name (default: {TOP})")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the outputs by name, as .npz")
    parser.add_argument("--profile", action="store_true", help="print the time and activation rate of every block")
    parser.add_argument("--repeats", type=int, default=10, metavar="K", help="inferences to profile (default: 10)")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="draw every mask over the image, as .png files")
    parser.add_argument("--threads", type=numbers.threads, metavar="N", help="default: the physical cores")
    parser.add_argument("--seed", type=numbers.seed, default=0, help="of a generated input (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the artifact, writes what was asked for, and prints a summary."""
    _check_counts(args)
    _check_places(args)

    from lascompile.cli.given_input import read_given
    from lascompile.cli.image_files import preprocessing_of
    from lascompile.report.block_times import time_blocks
    from lascompile.report.mask_files import write_masks
    from lascompile.report.output_summary import Classes
    from lascompile.report.run_report import RunReport
    from lascompile.runtime.artifact import load

    how = preprocessing_of(args)
    artifact = load(args.artifact, args.threads)
    manifest = artifact.manifest
    given = read_given(args.input, manifest.inputs, how, args.seed)
    inputs, outputs, pixels = _run_all(artifact, given)
    classes = Classes(args.top, _read_labels(args.labels, outputs), given.names)
    times = time_blocks(artifact, given.batches[0], args.repeats) if args.profile else None
    pictures: list[Path] = []
    if args.output is not None:
        _write_outputs(args.output, manifest, outputs)
    if args.masks is not None:
        args.masks.mkdir(exist_ok=True)
        pictures = write_masks(args.masks, manifest.masks, pixels, inputs)
    report = RunReport(
        args.artifact, manifest, given.source, artifact.threads, outputs, pixels, times, args.output, pictures, classes
    )
    if args.json:
        print(to_json(report.to_json(), indent=2))
    else:
        _print(report)
    return 0


def _check_counts(args: argparse.Namespace) -> None:
    if args.repeats < 1:
        raise UsageError(f"repeats {args.repeats}: must be at least 1")
    if args.top < 1:
        raise UsageError(f"top {args.top}: must be at least 1")
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


def _run_all(artifact: Artifact, given: Given) -> tuple[list[np.ndarray], list[np.ndarray], dict[str, np.ndarray]]:
    """Inputs, outputs, and by mask name the pixels that were switched on, of all batches one behind the other."""
    import numpy as np

    outputs, pixels = [], []
    for batch in given.batches:
        computed, decisions = artifact.run_with_masks(*batch)
        outputs.append(computed)
        pixels.append(artifact.active_pixels(decisions))
    if len(given.batches) == 1:
        return list(given.batches[0]), outputs[0], pixels[0]
    count = len(given.names)  # what fills the last batch up is left out
    per_batch = len(given.batches[0][0])
    for spec, output in zip(artifact.manifest.outputs, outputs[0], strict=True):
        if output.ndim == 0 or len(output) != per_batch:
            raise UsageError(f"output {spec.name!r} is not one of each image; run them one at a time")
    return (
        [np.concatenate(arrays)[:count] for arrays in zip(*given.batches, strict=True)],
        [np.concatenate(arrays)[:count] for arrays in zip(*outputs, strict=True)],
        {name: np.concatenate([one[name] for one in pixels])[:count] for name in pixels[0]},
    )


def _read_labels(path: Path | None, outputs: Sequence[np.ndarray]) -> tuple[str, ...]:
    if path is None:
        return ()
    from lascompile.report.output_summary import are_scores

    try:
        labels = tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise UsageError(f"labels {path}: cannot be read ({error}); give a text file of a name a line") from None
    classes = {output.shape[1] for output in outputs if are_scores(output)}
    if classes != {len(labels)}:
        has = " and ".join(map(str, sorted(classes))) or "no"
        raise UsageError(f"labels {path}: has {len(labels)} lines, but the model has {has} classes")
    return labels


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
