"""Latencies of kernels on devices: what was measured, and what is read out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lascompile.latency.table import Cell, Estimate, LatencyTable, Row, open_table

if TYPE_CHECKING:
    from lascompile.latency.loss import LatencyLoss as LatencyLoss

__all__ = ["Cell", "Estimate", "LatencyLoss", "LatencyTable", "Row", "open_table"]


def __getattr__(name: str) -> object:
    """Import the one that needs PyTorch when it is asked for."""
    if name != "LatencyLoss":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lascompile.latency.loss import LatencyLoss

    return LatencyLoss
