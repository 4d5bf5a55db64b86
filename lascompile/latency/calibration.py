"""Fit the rates of the analytical model to measured kernels of one device.

The rates of the data sheet are where the search begins and what it is drawn back to, so that a rate which no row tells
of stays what it was, and few rows cannot drive one to infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from lascompile.latency.analytical import Rates
from lascompile.schedules.work import Work

_PULL = 0.005
"""Weight of the data sheet: a rate that is off by a factor e costs as much as an error of this size in every row."""

_FARTHEST = 3.0
"""Factor by which a rate may differ from the data sheet's."""

_OUTLIER = 0.1
"""Relative error beyond which a row counts less than by its square: some kernels have two speeds."""

_NAMES = tuple(item.name for item in fields(Rates))
_COUNTED = tuple(item.name for item in fields(Work))


def calibrate(works: Sequence[Work], latencies_s: Sequence[float], start: Rates) -> Rates:
    """The rates near `start` by which `works` take `latencies_s` with the least error of the logarithm.

    Raises:
        ValueError: There is nothing to fit to.
    """
    from scipy.optimize import least_squares

    if not works:
        raise ValueError("no measured kernel to calibrate by")
    counted = {name: np.array([getattr(work, name) for work in works], np.float64) for name in _COUNTED}
    measured = np.log(np.asarray(latencies_s))
    begin = np.log([getattr(start, name) for name in _NAMES])
    pull = _PULL * np.sqrt(len(works))

    def residuals(logs: np.ndarray) -> np.ndarray:
        rates = dict(zip(_NAMES, np.exp(logs), strict=True))
        return np.concatenate([np.log(_seconds(counted, rates)) - measured, pull * (logs - begin)])

    reach = np.log(_FARTHEST)
    bounds = (begin - reach, begin + reach)
    found = least_squares(residuals, begin, bounds=bounds, loss="soft_l1", f_scale=_OUTLIER)
    return Rates(**{name: float(value) for name, value in zip(_NAMES, np.exp(found.x), strict=True)})


def _seconds(counted: dict[str, np.ndarray], rates: dict[str, float]) -> np.ndarray:
    """`analytical.terms` over arrays."""
    multiply = np.maximum(counted["fmas"] * rates["fma_s"], counted["loads"] * rates["load_s"])
    arithmetic = multiply + counted["unit_fmas"] * rates["unit_fma_s"]
    for name in ("stall", "spill", "tile", "transform"):
        arithmetic = arithmetic + counted[f"{name}s"] * rates[f"{name}_s"]
    memory = counted["written_bytes"] / rates["write_bytes_per_s"]
    for name in ("weight", "reread", "read"):
        memory = memory + counted[f"{name}_bytes"] / rates[f"{name}_bytes_per_s"]
    slower, faster = np.maximum(arithmetic, memory), np.minimum(arithmetic, memory)
    ratio = np.divide(faster, slower, out=np.zeros_like(faster), where=slower > 0)
    overlap = rates["overlap"]
    return np.asarray(rates["launch_s"] + slower * (1 + ratio**overlap) ** (1 / overlap))

