"""Tilings of small maps under masks of patches."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from lascompile.analysis.demand import Footprint, Window
from lascompile.analysis.gates import Mask
from lascompile.sites.domain import Domain


def cells_of(batch: int, size: tuple[int, int], patch: int) -> np.ndarray:
    """The patch that each pixel belongs to, [batch, H, W]; the last ones are smaller where `patch` does not divide."""
    height, width = size
    columns = -(-width // patch)
    image, y, x = np.ogrid[:batch, :height, :width]
    cell = y // patch * columns + x // patch
    return (image * -(-height // patch) * columns + cell).astype(np.int32)


def domain_of(batch: int, size: tuple[int, int], *patches: int) -> Domain:
    """The pixels of masks with one decision a patch."""
    masks = []
    for patch in patches:
        index = cells_of(batch, size, patch).reshape(1, -1)
        masks.append(Mask(ir.Value(name=f"decision{patch}"), index, (batch, *size), False))
    return frozenset(Footprint(mask) for mask in masks)


def window_of(size: tuple[int, int], pad: tuple[int, int] = (1, 1), shrinks: tuple[int, int] = (0, 0)) -> Window:
    """A 3x3 window whose output is smaller than its input by `shrinks`."""
    output = size[0] - shrinks[0], size[1] - shrinks[1]
    return Window((3, 3), (1, 1), pad, (1, 1), size, output)
