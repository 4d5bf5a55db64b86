"""An image file as three channels of 8 bits, or a refusal: what its numbers mean is never guessed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lascompile.errors import UsageError

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_PER_STEP = 257
"""Steps of 16 bits in one of 8: 65535 / 255."""


def read_picture(path: Path) -> Image.Image:
    """The image as RGB, upright as its EXIF data says; greys are repeated, 16 bits become the nearest 8.

    Raises:
        UsageError: It cannot be read, has pixels through which something else would show, or numbers without a
            common range (floats, 32 bits).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return _as_rgb(path, ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError, Image.DecompressionBombError) as error:
        raise UsageError(f"image {path}: cannot be read ({error}); repair or remove it") from error


def _as_rgb(path: Path, image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BITS:
        steps = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((steps + _PER_STEP // 2) // _PER_STEP).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        what = "floats" if image.mode == "F" else "32 bits a pixel"
        raise UsageError(
            f"image {path}: has {what}, of which nobody can tell black from white; save it with 8 or 16 bits, or give "
            "the numbers as .npy"
        )
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] != 255:
            raise UsageError(
                f"image {path}: has transparent pixels, which would be whatever colour lies behind them; save it on a "
                "background"
            )
    return image.convert("RGB")
