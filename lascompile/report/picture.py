"""The picture that a network was shown, found among its inputs and brought back to 0 to 255."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lascompile.models.images import IMAGENET_MEAN, IMAGENET_STD

_ROOM = 0.25
"""How far outside of 0 to 1 the bulk of an image may lie after denormalisation, as noise does; beyond it, the image was
not normalised like ImageNet."""


def find_pictures(inputs: Sequence[np.ndarray]) -> NDArray[np.uint8] | None:
    """The images [N, H, W, 3] in the first input that has the shape of images [N, 3, H, W]; None if none has."""
    for array in inputs:
        if array.ndim == 4 and array.shape[1] == 3 and array.dtype.kind == "f":
            return np.stack([_to_picture(image) for image in np.nan_to_num(array).transpose(0, 2, 3, 1)])
    return None


def _to_picture(image: np.ndarray) -> NDArray[np.uint8]:
    """One image [H, W, 3]: ImageNet's normalisation undone; if that cannot be what was done, stretched to fit."""
    shown = image * np.array(IMAGENET_STD) + np.array(IMAGENET_MEAN)
    low, high = np.percentile(shown, (2, 98))
    if low < -_ROOM or high > 1 + _ROOM:
        low, high = np.percentile(image, (1, 99))
        shown = (image - low) / max(float(high - low), np.finfo(np.float32).tiny)
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
