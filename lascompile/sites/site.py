"""A site: one convolution of a network, in all its forms, with what each is expected to meet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import mean

from lascompile.sites.activity import Activity, active_count
from lascompile.workload import NOMINAL_RATE, Form

_DRAWS = 4
"""Masks that an expected number is the mean of."""


@dataclass(frozen=True)
class SiteForm:
    """A form of a convolution.

    Attributes:
        workload: The kernel.
        activity: On which of its rows or tiles it runs.
    """

    workload: Form
    activity: Activity

    def count(self, activation_rate: float = NOMINAL_RATE) -> float:
        """Rows or tiles that are expected to be active where `activation_rate` of each mask's patches are."""
        if not self.workload.counted:
            return float(self.workload.most)
        return expected_count(self.activity, activation_rate)

    @property
    def share(self) -> float:
        """Of all rows or tiles those that are expected to be active at the nominal rate: halo makes it larger."""
        return self.count() / self.workload.most


@dataclass(frozen=True)
class Site:
    """A convolution or matrix product.

    Attributes:
        node: The ONNX node.
        forms: In which it can be computed; that over rows, which every convolution has, is the first.
        granularity: S of the mask that it obeys; None without one.
    """

    node: str
    forms: tuple[SiteForm, ...]
    granularity: tuple[int, int] | None


@lru_cache(maxsize=4096)
def expected_count(activity: Activity, activation_rate: float) -> float:
    """The mean over coherent masks, as kernels are measured under."""
    return mean(active_count(activity, activation_rate, seed) or 0 for seed in range(_DRAWS))
