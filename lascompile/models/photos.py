"""Read a folder of photographs as the networks take them: resized, centre-cropped, three channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lascompile.errors import UsageError
from lascompile.models.picture_file import read_picture

_CROP = 224 / 256
"""Share of the resized image that the crop keeps, as in the evaluation of ResNets on ImageNet."""


def load_photos(directory: str | Path, count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read up to `count` images below a folder, evenly spread over its sorted files: [N, H, W, 3], 0 to 255.

    Raises:
        UsageError: no such folder, no image in it, or an image that cannot be read.
    """
    files = _image_files(Path(directory))
    chosen = [files[i * len(files) // min(count, len(files))] for i in range(min(count, len(files)))]
    return np.stack([_load(file, size) for file in chosen])


def _image_files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise UsageError(f"image folder {directory}: no such folder")
    Image.init()
    readable = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    files = sorted(path for path in directory.rglob("*") if path.suffix.lower() in readable)
    if not files:
        raise UsageError(f"image folder {directory}: no .jpg, .png or other image that pillow reads, in it or below it")
    return files


def _load(file: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size
    # The largest centred box of the wanted proportions, less the margin: resize and crop in one step.
    fitted = ImageOps.fit(read_picture(file), (width, height), Image.Resampling.BILINEAR, bleed=(1 - _CROP) / 2)
    return np.asarray(fitted)
