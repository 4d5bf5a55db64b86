"""What tests of the tile matrix unit (AMX) need to run."""

from __future__ import annotations

import pytest

from lascompile.cpu import host_features
from lascompile.schedules.cpu.algorithms import BF16X3

needs_tiles = pytest.mark.skipif(
    not BF16X3.features <= (host_features() or frozenset()), reason="this CPU has no tile matrix unit (AMX)"
)
