"""Networks that a LASNet is not: every one that the analysis is tested with, and LAUDNets as PyTorch exports them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from lascompile.models import export
from lascompile.models.onnx_export import Exporter
from tests.analysis.unusual import NETWORKS, SHAPE
from tests.differential.harness import compiled
from tests.differential.laudnet import laudnet


@pytest.mark.parametrize("name", NETWORKS)
def test_unusual_networks(name: str, tmp_path: Path) -> None:
    compiled(NETWORKS[name](), tmp_path).check(np.random.default_rng(0).standard_normal(SHAPE, np.float32))


@pytest.mark.parametrize(
    ("kind", "exporter"),
    [("spatial", "torchscript"), ("both", "torchscript"), ("both", "dynamo"), ("regnet", "dynamo")],
)
def test_laudnets(kind: str, exporter: Exporter, tmp_path: Path) -> None:
    path = export(laudnet(kind), tmp_path / "m.onnx", (32, 32), batch=2, exporter=exporter)
    built = compiled(onnx.load(path), tmp_path)
    built.check(np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32))
    assert all(block["dynamic"] for block in built.artifact.manifest.blocks)
