"""How closely the results of convolutions follow float32 arithmetic."""

from __future__ import annotations

import enum


class Numerics(enum.Enum):
    """What a build may do to a sum of float32 products."""

    EXACT = "exact"
    """Each product is rounded once, to float32; sums differ in their order only."""

    FAST = "fast"
    """Products may be taken apart as well (bf16x3, Winograd), with relative errors of about 1e-5."""
