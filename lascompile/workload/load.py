"""The load that is expected where nobody says another one."""

from __future__ import annotations

NOMINAL_RATE = 0.5
"""Share of a mask's patches that are on: what schedules are made for, plans are chosen by, and reports count with."""
