"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Tests import onnxruntime themselves.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# A busy machine is slow, not wrong.
settings.register_profile("lascompile", settings(), deadline=None)
settings.load_profile("lascompile")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT
