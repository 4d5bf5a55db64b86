"""What the correction is told of a kernel: the one extractor for fitting and for use.

Physical quantities alone, no rate and no granularity: those act through the rows that are active, and a tree that has
learned «r = 0.5» says nothing about a shape that it has not seen. All but the last ones grow with the count of active
rows or stay, so that a correction which grows with them keeps the prediction monotone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lascompile.schedules.work import Work

_GROWING = ("fmas", "loads", "tiles", "transforms", "unit_fmas", "read_bytes", "written_bytes", "weight_bytes")

FEATURES = (*(f"log_{name}" for name in _GROWING), "spills_per_fma", "loads_per_fma", "engines", "is_winograd")
"""Names, in order."""

MONOTONE = (1,) * len(_GROWING) + (0,) * (len(FEATURES) - len(_GROWING))
"""1 where the correction may only grow with a feature."""


def features(work: Work) -> np.ndarray:
    """Those of one kernel, [FEATURES] float64."""
    grown = [np.log1p(getattr(work, name)) for name in _GROWING]
    fmas = max(1.0, work.fmas)
    return np.array([*grown, work.spills / fmas, work.loads / fmas, work.engines, float(work.transforms > 0)])


def matrix(works: Sequence[Work]) -> np.ndarray:
    """Those of many, [kernels, FEATURES]."""
    return np.stack([features(work) for work in works])
