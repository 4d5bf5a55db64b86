"""From decisions, one element a patch, to masks, one element a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lascompile.manifest import MaskSpec


def pixels_on(spec: MaskSpec, decision: np.ndarray) -> NDArray[np.bool_]:
    """The pixels that each group of the mask switches on, [N, G, H, W], for the `decision` that was taken.

    Patches are laid out as nearest upsampling does it: where S does not divide the map, their widths differ.
    """
    patches = _as_patches(decision)
    rows, columns = (np.arange(size) * cells // size for size, cells in zip(spec.size, patches.shape[2:], strict=True))
    return patches[:, :, rows[:, None], columns[None, :]]


def activation_rates(pixels: NDArray[np.bool_]) -> list[float]:
    """Of each image: the share of the pixels [N, G, H, W] that any group switches on."""
    return [float(image.any(axis=0).mean()) for image in pixels]


def _as_patches(decision: np.ndarray) -> NDArray[np.bool_]:
    """[N, G, h, w]: a decision without groups lacks the second axis, one for whole maps the last two."""
    patches = decision != 0
    if patches.ndim == 3:
        patches = patches[:, None]
    return patches.reshape(*patches.shape, *(1,) * (4 - patches.ndim))
