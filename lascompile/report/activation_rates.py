"""How much of a map a mask switches on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def activation_rates(pixels: NDArray[np.bool_]) -> list[float]:
    """Of each image: the share of the pixels [N, G, H, W] that any group switches on."""
    return [float(image.any(axis=0).mean()) for image in pixels]
