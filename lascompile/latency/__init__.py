"""Latencies of kernels on devices: what was measured, and what is read out of it."""

from lascompile.latency.table import Cell, Estimate, LatencyTable, Row, open_table

__all__ = ["Cell", "Estimate", "LatencyTable", "Row", "open_table"]
