"""Draw a mask over the image that it was decided for: what is skipped fades, what is computed is tinted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TINT = np.array([255, 140, 0], np.float32)
"""Orange: far from the greens, blues and browns of photographs, and told apart from grey by colour-blind readers."""
_TINT_SHARE = 0.22
_FADED_COLOUR, _FADED_LIGHT = 0.25, 0.36
"""What a skipped pixel keeps of its colour and of its light."""
_FADED_TO = np.array([14, 18, 30], np.float32)
"""Added to what is skipped: a cold dark, which is not that of a dark thing in the image."""
_BACKGROUND = 150
"""Grey that stands for an image where the network was not shown one."""


def draw_overlay(picture: NDArray[np.uint8] | None, groups_on: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
    """The `picture` under a mask, height and width `size` in pixels.

    Args:
        picture: [H, W, 3] of any size; None draws the mask alone.
        groups_on: [G, h, w], the pixels of the masked map that each group switches on. Where some groups are on and
            others off, the tint is as strong as the share of them that is on.
        size: Of the drawing.
    """
    share = _enlarge(groups_on.mean(axis=0, dtype=np.float32), size)[..., None]
    if picture is None:
        image = np.full((*size, 3), _BACKGROUND, np.float32)
    else:
        image = np.asarray(fit_picture(picture, size), np.float32)
    grey = image.mean(axis=-1, keepdims=True)
    skipped = (grey + _FADED_COLOUR * (image - grey)) * _FADED_LIGHT + _FADED_TO
    computed = image + _TINT_SHARE * (_TINT - image)
    drawn = skipped + share * (computed - skipped)
    drawn[_outline(share[..., 0] > 0, _thickness(groups_on.shape[1:], size))] = _TINT
    return Image.fromarray(np.rint(drawn).astype(np.uint8))


def fit_picture(picture: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    """The `picture` [H, W, 3], resized to height and width `size`."""
    height, width = size
    return Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)


def _enlarge(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Repeat or drop the elements of [h, w] to fill `size`; the last and the first meet its edges."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, plane.shape, strict=True))
    return plane[rows[:, None], columns[None, :]]


def _thickness(mask_size: tuple[int, ...], size: tuple[int, int]) -> int:
    """Pixels of the outline: thin where a pixel of the mask is small, but always there."""
    return int(np.clip(min(size) / min(mask_size) // 4, 1, max(1, min(size) // 150)))


def _outline(on: NDArray[np.bool_], thickness: int) -> NDArray[np.bool_]:
    """The outermost pixels of what is on, where it borders on what is off; the edge of the image is no border."""
    inner = on
    for _ in range(thickness):
        padded = np.pad(inner, 1, constant_values=True)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return on & ~inner
