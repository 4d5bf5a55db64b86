"""What came out of a measurement, and with what it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache

import numpy as np

from lascompile import __version__, toolchain

WRONG = "wrong"
"""The reason of a trial whose output was not the reference's."""

_LONGEST_ERROR = 2000


@dataclass(frozen=True)
class Latency:
    """A distribution of run times in seconds.

    Attributes:
        repeats: How many were timed.
    """

    median_s: float
    p10_s: float
    p90_s: float
    repeats: int

    @staticmethod
    def of(samples_s: Sequence[float]) -> Latency:
        """The statistics of `samples_s`, at least one.

        Raises:
            ValueError: A time is not positive and finite.
        """
        samples = np.asarray(samples_s, dtype=np.float64)
        if not (samples.size and np.isfinite(samples).all() and (samples > 0).all()):
            raise ValueError(f"latencies have to be positive: {samples_s}")
        p10, median, p90 = (float(value) for value in np.percentile(samples, (10, 50, 90)))
        return Latency(median, p10, p90, samples.size)


@dataclass(frozen=True)
class Failure:
    """Why a trial came to nothing.

    Attributes:
        reason: One word: `build`, `run`, `timeout`, `wrong` (see `WRONG`), or what a runner finds.
        error: What was said, cut to a length that a record can hold.
    """

    reason: str
    error: str = ""

    def __post_init__(self) -> None:
        if len(self.error) > _LONGEST_ERROR:
            object.__setattr__(self, "error", f"{self.error[: _LONGEST_ERROR - 1]}…")


@dataclass(frozen=True)
class Versions:
    """The packages that made the code. `llvm` is the major version that TVM was linked with."""

    lascompile: str
    tvm: str
    llvm: str

    @staticmethod
    def installed() -> Versions:
        """Those of this process."""
        from tvm.target.codegen import llvm_version_major

        return Versions(__version__, installed_tvm(), str(llvm_version_major()))


@cache
def installed_tvm() -> str:
    """The version of TVM that is installed, asked of its metadata."""
    return toolchain.installed("apache-tvm") or "unknown"


def timestamp() -> str:
    """Now, in UTC, such that the order of the texts is that of the times: `2026-11-21T04:14:00.123456+00:00`."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
