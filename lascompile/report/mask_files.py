"""Write the pictures of all masks of an inference: one file a mask, and a sheet of all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lascompile.files import writing
from lascompile.manifest import MaskSpec
from lascompile.report.activation_rates import activation_rates
from lascompile.report.contact_sheet import Tile, best_columns, lay_out
from lascompile.report.overlay import draw_overlay, fit_picture
from lascompile.report.picture import find_pictures
from lascompile.report.time_tables import show_granularity

SHEET_NAME = "masks.png"
MOST_IMAGES = 8
"""Images of a batch that a mask's own file shows."""

_SIDE, _SMALL_SIDE = 448, 150
"""The shorter side of a picture in pixels: alone, and on a sheet."""


def write_masks(
    folder: Path, specs: Sequence[MaskSpec], pixels: Mapping[str, NDArray[np.bool_]], inputs: Sequence[np.ndarray]
) -> list[Path]:
    """Draw masks over the images in `inputs`, or alone if there are none, into `folder`.

    The files are `00_NAME.png` and so on in order of execution, with a picture for each image (of the first
    `MOST_IMAGES`) and each mask group, and last `masks.png` with all masks for the first image.

    Args:
        folder: An existing folder; files of the same names are replaced.
        specs: The masks in order of execution.
        pixels: By mask name, the pixels that each group switches on, [N, G, H, W].
        inputs: What the network was shown.

    Returns:
        The files written.

    Raises:
        OSError: The folder cannot be written to.
    """
    pictures = find_pictures(inputs)
    digits = max(2, len(str(len(specs) - 1)))
    written = []
    for number, spec in enumerate(specs):
        path = folder / f"{number:0{digits}d}_{_file_name(title_of(spec))}.png"
        _save(_draw_mask(pixels[spec.name], pictures), path)
        written.append(path)
    if specs:
        _save(_draw_sheet(specs, pixels, pictures), folder / SHEET_NAME)
        written.append(folder / SHEET_NAME)
    return written


def _save(picture: Image.Image, path: Path) -> None:
    with writing(path) as file:
        picture.save(file, "PNG")


def title_of(spec: MaskSpec) -> str:
    """The block that the mask gates; the decision's own name if it is in none."""
    return spec.block or spec.name


def _draw_mask(pixels: NDArray[np.bool_], pictures: NDArray[np.uint8] | None) -> Image.Image:
    """One mask [N, G, H, W]; if it has groups, images from left to right and groups from top to bottom."""
    images, groups = min(len(pixels), MOST_IMAGES), pixels.shape[1]
    if images == groups == 1:
        return draw_overlay(_picture(pictures, 0), pixels[0], _drawn_size(pictures, pixels, _SIDE))
    size = _drawn_size(pictures, pixels, _SIDE // 2)
    tiles = [
        Tile(
            draw_overlay(_picture(pictures, image), pixels[image, group : group + 1], size),
            f"image {image}" + (f", group {group}" if groups > 1 else ""),
            f"r = {pixels[image, group].mean():.2f}",
        )
        for group in range(groups)
        for image in range(images)
    ]
    return lay_out(tiles, images if groups > 1 else best_columns(images))


def _draw_sheet(
    specs: Sequence[MaskSpec], pixels: Mapping[str, NDArray[np.bool_]], pictures: NDArray[np.uint8] | None
) -> Image.Image:
    """All masks for the first image, which comes first."""
    size = _drawn_size(pictures, pixels[specs[0].name], _SMALL_SIDE)
    tiles = [
        Tile(
            draw_overlay(_picture(pictures, 0), pixels[spec.name][0], size),
            title_of(spec),
            f"S = {show_granularity(spec.granularity)}   r = {activation_rates(pixels[spec.name])[0]:.2f}",
        )
        for spec in specs
    ]
    if pictures is not None:
        tiles.insert(0, Tile(fit_picture(pictures[0], size), "input"))
    return lay_out(tiles, best_columns(len(tiles)))


def _picture(pictures: NDArray[np.uint8] | None, image: int) -> NDArray[np.uint8] | None:
    return None if pictures is None else pictures[image]


def _drawn_size(pictures: NDArray[np.uint8] | None, pixels: NDArray[np.bool_], side: int) -> tuple[int, int]:
    """Height and width of a drawing: the picture's proportions, or else the map's, with the shorter side given."""
    height, width = pixels.shape[2:] if pictures is None else pictures.shape[1:3]
    scale = side / min(height, width)
    return round(height * scale), round(width * scale)


def _file_name(title: str) -> str:
    """`title` with only such characters as every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", title).strip("._")
