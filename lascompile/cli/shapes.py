"""The option `--shape NAME=1,3,224,224`, shared by the commands that read ONNX files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lascompile.errors import UsageError


def add_shape_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--shape`."""
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=N,C,H,W",
        help="the static shape of an input that the file leaves dynamic; may be repeated",
    )


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shape by input name.

    Raises:
        UsageError: A text is not of the form NAME=1,3,224,224.
    """
    shapes = {}
    for text in texts:
        name, _, dims = text.rpartition("=")
        try:
            shapes[name] = tuple(int(dim) for dim in dims.split(","))
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--shape {text}: expected NAME=N,C,H,W, as in --shape input=1,3,224,224")
    return shapes
