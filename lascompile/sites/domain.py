"""Domains: the pixels that a value is computed at, as the analysis names them, and as regions to draw masks for."""

from __future__ import annotations

from functools import reduce

import numpy as np

from lascompile.analysis.demand import Footprint, Window
from lascompile.sites.activity import Decided, Dilated, Region, United
from lascompile.workload import WindowShape

Domain = frozenset[Footprint]
"""The pixels that a value is computed at, each of which one of the footprints covers."""


def ordered_key(footprint: Footprint) -> tuple[str, bool, bytes, str]:
    """An order of footprints that does not change from run to run."""
    mask = footprint.mask
    return mask.name, mask.inverted, mask.index.tobytes(), repr(footprint.windows)


def granularity_of(domain: Domain | None) -> tuple[int, int] | None:
    """S of the mask that says which pixels are in `domain`, of several that of the first; None if all are."""
    return None if domain is None else min(domain, key=ordered_key).mask.granularity


def window_shape(window: Window, batch: int) -> WindowShape:
    """`window` over a batch of `batch` maps."""
    return WindowShape(
        batch, window.kernel, window.stride, window.pad, window.dilation, window.input_size, window.output_size
    )


def ordered(domain: Domain) -> list[Footprint]:
    """The footprints of `domain`, in an order that does not change from run to run."""
    return sorted(domain, key=ordered_key)


def region_of(domain: Domain) -> Region:
    """`domain` as something that masks are drawn for, and that can be hashed and sent."""
    regions: list[Region] = [_region_of(footprint) for footprint in ordered(domain)]
    return reduce(United, regions)


def _region_of(footprint: Footprint) -> Region:
    mask = footprint.mask
    region: Region = Decided(mask.name, mask.size, np.ascontiguousarray(mask.patches, dtype=np.int32).tobytes())
    for window in footprint.windows:
        region = Dilated(window_shape(window, mask.size[0]), region)
    return region
