"""Image files as a network takes them: resized, cropped in the centre, less a mean and over a deviation, in batches."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lascompile.errors import UsageError
from lascompile.manifest import TensorSpec
from lascompile.models.images import IMAGENET_MEAN, IMAGENET_STD, normalize
from lascompile.models.picture_file import read_picture

_CROP = 224 / 256
"""Share of the resized image that the crop keeps, as in the evaluation of ResNets on ImageNet."""

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """What is done with an image of values from 0 to 1.

    Attributes:
        mean: Of each channel, taken off.
        std: Of each channel, divided by.
        resize: Pixels of the shorter side before the crop; None: so many that the crop keeps 7/8 of it.
    """

    mean: Three = IMAGENET_MEAN
    std: Three = IMAGENET_STD
    resize: int | None = None


def preprocessing_of(args: argparse.Namespace) -> Preprocessing:
    """What the options say.

    Raises:
        UsageError: A deviation or size that is not positive.
    """
    if args.std is not None and min(args.std) <= 0:
        raise UsageError(f"--std {','.join(map(str, args.std))}: must be positive")
    if args.resize is not None and args.resize < 1:
        raise UsageError(f"--resize {args.resize}: must be at least 1")
    return Preprocessing(args.mean or IMAGENET_MEAN, args.std or IMAGENET_STD, args.resize)


def is_image(path: Path) -> bool:
    """Whether pillow reads files of this ending."""
    Image.init()
    name = Image.registered_extensions().get(path.suffix.lower())
    return name is not None and name in Image.OPEN


def images_in(folder: Path) -> list[Path]:
    """The images in a folder itself, by name.

    Raises:
        UsageError: There is none.
    """
    found = sorted(path for path in folder.iterdir() if path.is_file() and is_image(path))
    if not found:
        raise UsageError(f"input {folder}: holds no .jpg, .png or other image")
    return found


def image_shape(path: Path, specs: Sequence[TensorSpec]) -> tuple[int, int, int]:
    """Batch, height and width of the model's images.

    Raises:
        UsageError: It takes something else than images.
    """
    spec = specs[0]
    if len(specs) == 1 and spec.dtype == "float32" and len(spec.shape) == 4 and spec.shape[1] == 3:
        return spec.shape[0], spec.shape[2], spec.shape[3]
    takes = "; ".join(f"{spec.name!r} [{', '.join(map(str, spec.shape))}] {spec.dtype}" for spec in specs)
    raise UsageError(
        f"input {path}: an image needs a model of one input [N, 3, H, W] float32, but this one takes {takes}; "
        "give an .npy or .npz file"
    )


def read_batches(paths: Sequence[Path], specs: Sequence[TensorSpec], how: Preprocessing) -> list[NDArray[np.float32]]:
    """The images `paths` as arrays [N, 3, H, W] of the model's batch; the last one is filled up with the last image.

    Raises:
        UsageError: The model takes no images, one cannot be read, or is too small for `how.resize`.
    """
    batch, height, width = image_shape(paths[0], specs)
    batches = []
    for start in range(0, len(paths), batch):
        fitted = [_fit(path, height, width, how) for path in paths[start : start + batch]]
        fitted += [fitted[-1]] * (batch - len(fitted))
        batches.append(normalize(np.stack(fitted), how.mean, how.std))
    return batches


def _fit(path: Path, height: int, width: int, how: Preprocessing) -> NDArray[np.uint8]:
    picture = read_picture(path)
    if how.resize is None:
        # The largest centred box of the wanted proportions, less the margin: resize and crop in one step.
        bleed = (1 - _CROP) / 2
        return np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR, bleed=bleed))
    scale = min(picture.size) / how.resize
    box_width, box_height = width * scale, height * scale
    left, top = (picture.width - box_width) / 2, (picture.height - box_height) / 2
    if left < 0 or top < 0:
        raise UsageError(f"--resize {how.resize}: {path} is then smaller than the {height}x{width} that are cropped")
    box = (left, top, left + box_width, top + box_height)
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box))
