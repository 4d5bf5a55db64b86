"""Options that say what is done with images; apart, since whoever asks for help needs no arrays."""

from __future__ import annotations

import argparse
import math


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `image_files.preprocessing_of` reads."""
    parser.add_argument("--mean", type=_three, metavar="R,G,B", help="of images of 0 to 1 (default: ImageNet's)")
    parser.add_argument("--std", type=_three, metavar="R,G,B", help="the deviation (default: ImageNet's)")
    parser.add_argument(
        "--resize", type=int, metavar="N", help="shorter side before the crop (default: the crop keeps 7/8 of it)"
    )


def _three(text: str) -> tuple[float, float, float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"{text!r}: must be one number or three, as in 0.485,0.456,0.406")
    return numbers[0], numbers[1], numbers[2]
