"""Building the networks of these tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests.differential.harness import Compiled, compiled
from tests.differential.networks import random_inputs


@pytest.fixture
def checked(tmp_path: Path) -> Callable[[onnx.ModelProto], Compiled]:
    """Build a model, and compare it with onnxruntime freely and under masks of every kind."""

    def build_and_check(model: onnx.ModelProto) -> Compiled:
        built = compiled(model, tmp_path)
        built.check(*random_inputs(model))
        return built

    return build_and_check
